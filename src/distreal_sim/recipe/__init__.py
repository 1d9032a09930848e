"""How clients train, whatever the method."""
