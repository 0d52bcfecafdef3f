from kernels.cpu import host, tiles


def test_describe():
    found = host.describe()
    assert found.processor
    assert found.cores >= found.available_threads >= found.threads >= 1 or found.threads == 1
    assert found.vector_bytes == tiles.VECTOR_BYTES
    assert found.vectors in ("AVX-512", "AVX2", "AVX", "NEON", "SSE2", "none")


def test_a_processor_that_tells_no_name(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert host.processor_name()
