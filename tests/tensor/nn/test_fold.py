"""Unfold and Fold: the layers beside PyTorch's."""


def test_layers(engines):
    shapes, texts = [], []
    for module in engines:
        apart, together = module.nn.Unfold(2, stride=(1, 2)), module.nn.Fold((4, 6), 2, stride=(1, 2))
        shapes.append(tuple(together(apart(module.ones((1, 3, 4, 6)))).shape))
        texts.append((repr(apart), repr(together)))
    assert set(shapes) == {(1, 3, 4, 6)}
    assert texts[0] == (
        "Unfold(kernel_size=2, dilation=1, padding=0, stride=(1, 2))",
        "Fold(output_size=(4, 6), kernel_size=2, dilation=1, padding=0, stride=(1, 2))",
    )
    assert len(set(texts)) == 1
