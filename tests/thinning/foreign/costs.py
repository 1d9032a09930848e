"""Networks whose multiply-adds are easy to count wrongly."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, refused, right, vector, whole
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Linear = nn.Linear


@right(6, shape=(5, 4))
def tokens_folded_into_the_batch(a: int) -> nn.Module:
    def run(m, x):
        n, t, c = x.shape
        return m.head(F.relu(m.a(x.reshape(-1, c))).view(n, t, -1).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@right(5, 7, shape=(3, 2, 6, 6))
def frames_folded_into_the_batch(a: int, b: int) -> nn.Module:
    """A video network: 3 frames of 2 x 6 x 6 each, batch norm over all of them."""

    def run(m, x):
        y = F.relu(m.bn(m.a(x.flatten(0, 1))))
        y = F.relu(m.b(y)).mean((2, 3))
        return m.head(y.view(len(x), x.shape[1], -1).mean(1))

    return Net(run, a=conv(2, a), bn=nn.BatchNorm2d(a), b=conv(a, b), head=Linear(b, 3))


@right(6, shape=(3, 4))
def examples_last(a: int) -> nn.Module:
    """Sequences with the time in front of the examples, as recurrent networks have them."""

    def run(m, x):
        return m.head(F.relu(m.a(x.transpose(0, 1))).mean(0))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@right(6)
def half_of_the_batch(a: int) -> nn.Module:
    """Windows: every example is cut into four, and each gets the layer."""

    def run(m, x):
        n = len(x)
        windows = torch.cat([x[..., :3, :3], x[..., 3:, :3], x[..., :3, 3:], x[..., 3:, 3:]])
        return m.head(pooled(m.a(windows)).view(4, n, -1).mean(0))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


def _sequence(m: Any, x: Any) -> Any:
    return m.head(F.relu(m.a(m.rnn(x)[0][:, -1])))


@right(5, 6, shape=(4, 3))
def lstm_on_the_input(u: int, a: int) -> nn.Module:
    return Net(_sequence, rnn=nn.LSTM(3, u, batch_first=True), a=Linear(u, a), head=Linear(a, 3))


@right(5, 6, shape=(4, 3))
def gru_on_the_input(u: int, a: int) -> nn.Module:
    return Net(_sequence, rnn=nn.GRU(3, u, batch_first=True), a=Linear(u, a), head=Linear(a, 3))


@right(5, 4, shape=(4, 3))
def layers_of_recurrent_units_both_ways(a: int, u: int) -> nn.Module:
    """Two layers in both directions, with time on the first axis: unit i is the same in all four."""

    def run(m, x):
        states, (h, c) = m.rnn(F.relu(m.a(x)).transpose(0, 1))
        return m.head(torch.cat([states.mean(0), h[0] + c[-1]], 1))

    return Net(run, a=Linear(3, a), rnn=nn.LSTM(a, u, 2, bidirectional=True), head=Linear(3 * u, 3))


@right(5, 4, shape=(4, 3))
def learned_initial_state(a: int, u: int) -> nn.Module:
    """The initial state is a parameter, so that the state of the first step needs a gradient too."""

    def run(m, x):
        return m.head(m.rnn(F.relu(m.a(x)), m.start.expand(-1, len(x), -1).contiguous())[0].mean(1))

    return Net(
        run, a=Linear(3, a), rnn=nn.RNN(a, u, batch_first=True), start=vector(1, 1, u), head=Linear(u, 3)
    )


@right(5, 4, shape=(4, 3))
def encoder_and_decoder(u: int, a: int) -> nn.Module:
    """The decoder begins with the encoder's state, so that their units are the same."""

    def run(m, x):
        _, state = m.encoder(x)
        return m.head(F.relu(m.a(m.decoder(x.flip(1), state)[0])).amax(1))

    return Net(
        run, encoder=nn.GRU(3, u, batch_first=True), decoder=nn.GRU(3, u, batch_first=True), a=Linear(u, a),
        head=Linear(a, 3),
    )  # fmt: skip


@right(5, 6, shape=(4, 3))
def cells_with_their_own_zeros(u: int, a: int) -> nn.Module:
    def run(m, x):
        state = m.cell(x[:, 0])
        for t in range(1, x.shape[1]):
            state = m.cell(x[:, t], state)
        return m.head(F.relu(m.a(state[0])))

    return Net(run, cell=nn.LSTMCell(3, u), a=Linear(u, a), head=Linear(a, 3))


@whole("a tensor made in its code fixes the width at 5 channels", 6, shape=(4, 3), groups=(6,))
def cells_on_the_input(a: int) -> nn.Module:
    def run(m, x):
        h = torch.zeros(len(x), 5, dtype=x.dtype)
        for t in range(x.shape[1]):
            h = m.cell(x[:, t], h)
        return m.head(F.relu(m.a(h)))

    return Net(run, cell=nn.GRUCell(3, 5), a=Linear(5, a), head=Linear(a, 3))


@whole("dropout between its layers", 6, shape=(4, 3), groups=(6,))
def dropout_between_recurrent_layers(a: int) -> nn.Module:
    """The draws, of whole tensors here, depend on the width."""
    return Net(
        _sequence, rnn=nn.LSTM(3, 5, 2, batch_first=True, dropout=0.5), a=Linear(5, a), head=Linear(a, 3)
    )


@whole("packed", 6, shape=(4, 3), groups=(6,))
def packed_sequences(a: int) -> nn.Module:
    def run(m, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), 4), batch_first=True)
        return m.head(F.relu(m.a(m.rnn(packed)[1][-1])))

    return Net(run, rnn=nn.GRU(3, 5, batch_first=True), a=Linear(5, a), head=Linear(a, 3))


@right(4, 5, 6, shape=(7,), n_tokens=11)
def embedding_and_lstm(e: int, u: int, a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(F.relu(m.a(m.rnn(m.embed(x))[1][0][-1]))),
        embed=nn.Embedding(11, e), rnn=nn.LSTM(e, u, batch_first=True), a=Linear(u, a), head=Linear(a, 3),
    )  # fmt: skip


@right(4, 6, shape=(7,), n_tokens=11)
def sum_of_embeddings(e: int, a: int) -> nn.Module:
    """Tokens and places, one of them not trained for padding; the mean of a bag beside them."""

    def run(m, x):
        y = m.tokens(x) + m.places(torch.arange(x.shape[1])) + m.bag(x)[:, None]
        return m.head(F.relu(m.a(y)).mean(1))

    return Net(
        run, tokens=nn.Embedding(11, e, padding_idx=0), places=nn.Embedding(7, e),
        bag=nn.EmbeddingBag(11, e, mode="sum"), a=Linear(e, a), head=Linear(a, 3),
    )  # fmt: skip


@whole("its weight is a table of tokens too", 6, shape=(7,), n_tokens=3, groups=(6,))
def tied_table(a: int) -> nn.Module:
    """Scores are products with the table's rows, which inverted scaling would scale and the look-up not."""

    def run(m, x):
        y = m.two(F.relu(m.one(m.embed(x)))).mean(1)
        return F.linear(y, m.embed.weight)

    return Net(run, embed=nn.Embedding(3, 4), one=Linear(4, a), two=Linear(a, 4))


@right(5, 6)
def matrix_product_of_the_input(a: int, b: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(F.relu(m.a(x.flatten(1) @ m.w))),
        w=vector(108, a),
        a=Linear(a, b),
        head=Linear(b, 3),
    )


@whole("'einsum'", 6, groups=(6,))
def einsum_of_the_input(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(torch.einsum("nchw,dc->ndhw", x, m.w))))

    return Net(run, w=vector(4, 3), a=conv(4, a), head=Linear(a, 3))


@whole("'bilinear'", 6, groups=(6,))
def bilinear_layer_on_the_input(a: int) -> nn.Module:
    def run(m, x):
        x = x.mean((2, 3))
        return m.head(F.relu(m.a(m.two(x, x))))

    return Net(run, two=nn.Bilinear(3, 3, 4), a=Linear(4, a), head=Linear(a, 3))


@right(6)
def transposed_convolution_of_the_input(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.up(x))), up=nn.ConvTranspose2d(3, a, 2, stride=2), head=Linear(a, 3)
    )


@right(2, 4, 6, shape=(7, 4), made=(6,), rebuilt=False)
def attention_on_the_input(a: int) -> nn.Module:
    def run(m, x):
        return m.head(F.relu(m.a(m.mha(x, x, x, need_weights=False)[0].mean(1))))

    return Net(run, mha=nn.MultiheadAttention(4, 2, batch_first=True), a=Linear(4, a), head=Linear(a, 3))


@whole("matrix product", 6, shape=(7, 4), groups=(6,))
def attention_by_hand_on_the_input(a: int) -> nn.Module:
    """Products of the input with itself: no parameter, but multiply-adds."""

    def run(m, x):
        x = F.softmax(x @ x.transpose(1, 2), -1) @ x
        return m.head(F.relu(m.a(x)).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@whole("'baddbmm_'", 6, shape=(7, 4), groups=(6,))
def products_added_in_place(a: int) -> nn.Module:
    def run(m, x):
        y = (2 * x).baddbmm_(x.bmm(x.transpose(1, 2)), x)
        return m.head(F.relu(m.a(y)).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@whole("product of two activations", 6, shape=(7, 4), groups=(6,))
def fused_attention_on_the_input(a: int) -> nn.Module:
    def run(m, x):
        x = F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0]
        return m.head(F.relu(m.a(x)).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@right(6, 5)
def layer_used_at_two_sizes(a: int, b: int) -> nn.Module:
    """A shared detection head: its weight costs at every size, its gradient too."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(m.s(x)) + pooled(m.s(F.max_pool2d(x, 2))))

    return Net(run, a=conv(3, a), s=conv(a, b), head=Linear(b, 3))


@right(6, 5)
def functional_layers(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.relu(F.conv2d(x, m.k, m.b, stride=(2, 1), padding="valid", dilation=(1, 2)))
        return F.linear(F.relu(F.linear(x.mean((2, 3)), m.w)), m.v, m.c)

    def matrix(*shape):
        return nn.Parameter(torch.randn(shape) / 3)

    return Net(run, k=matrix(a, 3, 3, 2), b=vector(a), w=matrix(b, a), v=matrix(3, b), c=vector(3))


@right(6, 5, 7)
def strides_dilations_and_same(a: int, b: int, c: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.c(F.relu(m.b(F.relu(m.a(x)))))))

    return Net(
        run, a=nn.Conv2d(3, a, (3, 2), padding="same"), b=nn.Conv2d(a, b, 3, stride=(2, 1), padding=(0, 1)),
        c=nn.Conv2d(b, c, (1, 3), dilation=(1, 2)), head=Linear(c, 3),
    )  # fmt: skip


@right(6, 5)
def checkpointed_block(a: int, b: int) -> nn.Module:
    """Recomputes nothing that costs: the input of its only layer is there before it runs."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(checkpoint(m.b, x, use_reentrant=False)))

    return Net(run, a=conv(3, a), b=conv(a, b), head=Linear(b, 3))


class _Covariance(torch.autograd.Function):
    """(n, c, t) -> (n, c, c), as covariance pooling has it, with two products in its backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.bmm(x.transpose(1, 2)) / x.shape[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (gradient.bmm(x) + gradient.transpose(1, 2).bmm(x)) / x.shape[2]


class _Tilted(torch.autograd.Function):
    """(n, t, c) unchanged; its backward pass alone has products, as wide as its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient + 0.01 * x @ (x.transpose(1, 2) @ gradient)


class _Scores(torch.autograd.Function):
    """Queries times keys, for each head, with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(q, k)
        return q @ k.transpose(-2, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        q, k = ctx.saved_tensors
        return gradient @ k, gradient.transpose(-2, -1) @ q


@whole("'bmm'", 6, groups=(6,))
def covariance_by_a_function(a: int) -> nn.Module:
    """Products that autograd does not see, of channels that are whole; the layer before them is thinned."""

    def run(m, x):
        y = m.b(F.relu(m.a(x))).flatten(2)
        return m.head(_Covariance.apply(y).flatten(1))

    return Net(run, a=conv(3, a), b=conv(a, 4), head=Linear(16, 3))


@whole("the backward pass of its autograd function '_Tilted' has products", 6, 5, shape=(7, 4), groups=(6, 5))
def products_in_the_backward_pass_alone(a: int, b: int) -> nn.Module:
    """A forward pass with rules for all that it does, and a backward pass that would depend on the width."""

    def run(m, x):
        return m.head(F.relu(m.b(_Tilted.apply(F.relu(m.c(F.relu(m.a(x))))))).mean(1))

    return Net(run, a=Linear(4, a), c=Linear(a, 4), b=Linear(4, b), head=Linear(b, 3))


@whole("the backward pass of its autograd function '_Scores' has products", 6, shape=(7, 4), groups=(6,))
def heads_in_a_function(a: int) -> nn.Module:
    def run(m, x):
        q, k, v = (part(x).unflatten(2, (2, 3)).transpose(1, 2) for part in (m.q, m.k, m.v))
        y = F.softmax(_Scores.apply(q, k), -1) @ v
        return m.head(F.relu(m.a(y.transpose(1, 2).flatten(2))).mean(1))

    return Net(run, q=Linear(4, 6), k=Linear(4, 6), v=Linear(4, 6), a=Linear(6, a), head=Linear(a, 3))


@whole("torch.utils.checkpoint", 6, 5, 4)
def checkpointed_block_of_two_layers(a: int, b: int, c: int) -> nn.Module:
    """The backward pass runs the first of the two layers once more."""

    def run(m, x):
        y = checkpoint(lambda z: m.c(F.relu(m.b(z))), F.relu(m.a(x)), use_reentrant=False)
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), b=conv(a, b), c=conv(b, c), head=Linear(c, 3))


@whole("hook", 6, shape=(7, 4))
def products_in_a_hook(a: int) -> nn.Module:
    """A hook on an activation multiplies its gradient, at the width that this has."""

    def run(m, x):
        y = F.relu(m.a(x))
        if y.requires_grad:
            y.register_hook(lambda g: g + 0.01 * g @ g.transpose(1, 2) @ g)
        return m.head(y.mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@right(6, 5)
def detached_branch(a: int, b: int) -> nn.Module:
    """No gradient flows into `a` through the branch; the head gets one."""

    def run(m, x):
        return m.head(pooled(m.b(F.relu(m.a(x)).detach())))

    return Net(run, a=conv(3, a), b=conv(a, b), head=Linear(b, 3))


@right(6, 5)
def layer_without_a_graph(a: int, b: int) -> nn.Module:
    def run(m, x):
        with torch.no_grad():
            x = F.relu(m.a(x))
        return m.head(pooled(m.b(x)))

    return Net(run, a=conv(3, a), b=conv(a, b), head=Linear(b, 3))


@right(6, 5)
def branch_that_leads_nowhere(a: int, b: int) -> nn.Module:
    """Computed, and thrown away: it costs a forward pass and nothing more."""

    def run(m, x):
        x = F.relu(m.a(x))
        m.b(x)
        return m.head(pooled(x))

    return Net(run, a=conv(3, a), b=conv(a, b), head=Linear(a, 3))


@right(6)
def frozen_weight_with_a_trained_bias(a: int) -> nn.Module:
    net = Net(
        lambda m, x: m.head(pooled(m.b(m.a(x)))), a=conv(3, a), b=conv(a, a, groups=a), head=Linear(a, 3)
    )
    net.a.weight.requires_grad_(False)
    return net


@right(9, 8, 7, shape=(10,))
def chain_of_linear_layers(a: int, b: int, c: int) -> nn.Module:
    return nn.Sequential(
        Linear(10, a), nn.ReLU(), Linear(a, b), nn.ReLU(), Linear(b, c, bias=False), nn.ReLU(), Linear(c, 3)
    )


@right(shape=(10,))
def logistic_regression() -> nn.Module:
    return nn.Sequential(Linear(10, 3))


@right(300, shape=(300,))
def large_linear_layers(a: int) -> nn.Module:
    """Weights that are updated in the backward pass."""
    return Net(lambda m, x: m.head(torch.tanh(m.a(x))), a=Linear(300, a), head=Linear(a, 3))


@refused("1 position for 4 examples", 6)
def layer_on_the_mean_of_the_batch(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(x))) + m.b(x.mean(0, keepdim=True).mean((2, 3)))

    return Net(run, a=conv(3, a), b=Linear(3, 3), head=Linear(a, 3))


@refused("module 'b' (Linear) cannot be simulated: its 'linear' has 18 multiply-adds", 6)
def layer_on_a_parameter(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x)) + m.b(m.code)),
        a=conv(3, a), b=Linear(3, a), code=vector(1, 3), head=Linear(a, 3),
    )  # fmt: skip


@refused("its 'matmul' has 21 multiply-adds for 4 examples", 6, shape=(7, 4))
def product_of_constants(a: int) -> nn.Module:
    """A matrix made in the code for all examples: its cost does not grow with their number."""

    def run(m, x):
        waves = torch.arange(7.0, dtype=x.dtype)[:, None] @ torch.ones(1, 3, dtype=x.dtype)
        mixed = waves @ torch.ones(3, 4, dtype=x.dtype)
        return m.head(F.relu(m.a(x + mixed.sin())).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@right(6, shape=(7, 4))
def products_of_constants_for_each_example(a: int) -> nn.Module:
    def run(m, x):
        ones = torch.ones(len(x), 7, 7, dtype=x.dtype)
        return m.head(F.relu(m.a(x + ones.bmm(ones[..., :4]))).mean(1))

    return Net(run, a=Linear(4, a), head=Linear(a, 3))


@whole("'_Covariance' has products", 6, groups=(6,))
def functions_with_products_at_many_sizes(a: int) -> nn.Module:
    """The same function five times, at other costs."""

    def run(m, x):
        y = m.b(F.relu(m.a(x)))
        return m.head(sum(_Covariance.apply(y[..., :n].flatten(2)) for n in range(1, 6)).flatten(1))

    return Net(run, a=conv(3, a), b=conv(a, 4), head=Linear(16, 3))


@refused("positions", 6)
def layers_on_halves_of_the_batch(a: int) -> nn.Module:
    def run(m, x):
        n = len(x) // 2
        return m.head(torch.cat([pooled(m.a(x[:n])), pooled(m.b(x[n:]))]))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a, 3))


@refused("positions", 6)
def layer_on_all_pairs_of_examples(a: int) -> nn.Module:
    def run(m, x):
        x = x.mean((2, 3))
        return m.head(F.relu(m.a(x[:, None] - x[None])).mean(1))

    return Net(run, a=Linear(3, a), head=Linear(a, 3))


@right(6)
def input_changed_in_place(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x.sub_(0.5).mul_(2)))), a=conv(3, a), head=Linear(a, 3))
