"""What a Stepper plays, by itself."""

from micro.steps import name_nodes


def test_names():
    assert name_nodes(["x", None, "x", "a b", "", "v1", "w[0]", "v6'", "v7", "é", "x" * 31]) == {
        0: "x", 2: "x#2", 5: "v1#5", 6: "w[0]", 7: "v6'", 8: "v7", 9: "é",
    }  # fmt: skip
    assert name_nodes(["v2", "v1", "v0", "v99"]) == {0: "v2", 1: "v1", 2: "v0", 3: "v99"}  # none is called so
