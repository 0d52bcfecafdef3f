"""tensor/autograd/grad_mode.py: blocks in which nothing, or something, is recorded."""

import threading

import pytest

import tensor


def test_modes_as_contexts_and_decorators(engines) -> None:
    for T in engines:
        seen = []

        def note(T=T, seen=seen):
            seen.append(T.is_grad_enabled())
            return T.is_grad_enabled()

        note()
        with T.no_grad():
            note()
            with T.enable_grad():
                note()
                with T.set_grad_enabled(False):
                    note()
                note()
            note()
            with T.inference_mode(False):
                note()
            T.enable_grad()(note)()
        T.no_grad()(note)()
        T.no_grad(note)()
        T.inference_mode()(note)()
        T.inference_mode(note)()
        T.set_grad_enabled(False)(note)()
        note()
        T.set_grad_enabled(False)
        note()
        T.set_grad_enabled(True)
        note()
        with T.no_grad(), pytest.raises(ValueError, match="through"):
            raise ValueError("through")
        note()
        assert seen == [
            True, False, True, False, True, False, True, True, False, False, False, False, False, True, False,
            True, True,
        ]  # fmt: skip


def test_modes_decorate_methods_and_keep_names() -> None:
    class Model:
        @tensor.no_grad()
        def one(self, x):
            """Do it."""
            return tensor.is_grad_enabled(), x

        @tensor.no_grad
        def two(self, x):
            return tensor.is_grad_enabled(), x

    assert Model().one(1) == (False, 1)
    assert Model().two(2) == (False, 2)
    assert Model.one.__name__ == "one"
    assert Model.one.__doc__ == "Do it."


def test_modes_of_generators(engines) -> None:
    for T in engines:
        seen = []

        @T.no_grad()
        def numbers(T=T, seen=seen):
            try:
                for i in range(3):
                    seen.append(T.is_grad_enabled())
                    got = yield i
                    seen.append(got)
                return "done"
            finally:
                seen.append(T.is_grad_enabled())

        generator = numbers()
        assert next(generator) == 0
        assert T.is_grad_enabled()
        assert generator.send("a") == 1
        assert T.is_grad_enabled()
        generator.close()
        assert T.is_grad_enabled()
        assert seen == [False, "a", False, False]
        assert list(numbers()) == [0, 1, 2]
        inner = numbers()
        next(inner)
        with pytest.raises(KeyError):
            inner.throw(KeyError("x"))


def test_one_context_object_nests() -> None:
    mode = tensor.no_grad()
    with mode:
        with mode:
            assert not tensor.is_grad_enabled()
        assert not tensor.is_grad_enabled()
    assert tensor.is_grad_enabled()


def test_modes_are_per_thread() -> None:
    seen = []
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait()
        seen.append(tensor.is_grad_enabled())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with tensor.no_grad():
        inside.set()
        done.wait()
    thread.join()
    assert seen == [True]


def test_nothing_is_recorded_under_no_grad() -> None:
    x = tensor.ones(3, requires_grad=True)
    with tensor.no_grad():
        y = x * 2
        x.add_(1)
        x[0] = 5.0
        x.data.mul_(2)
    assert y.requires_grad is False
    assert y.grad_fn is None
    assert x.tolist() == [10.0, 4.0, 4.0]
    assert x.is_leaf
