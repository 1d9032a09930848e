"""Files, errors, plug-ins, random numbers and processes; nothing in here knows of learning."""
