"""How functions are compiled that only kernels call: once, and not by themselves.

Numba makes machine code of every function, and then, since a caller takes the function in to inline it, makes
it anew as a part of the caller, and of the caller's caller. What a kernel is made of is never called by
anyone else, so here it stays what LLVM starts from, until the kernel is optimised as a whole. That halves the
time it takes to compile, and the kernels are as fast.
"""

from numba.core import codegen, compiler, typed_passes
from numba.core.compiler_machinery import register_pass


class _PartLibrary(codegen.JITCodeLibrary):
    """A function that is linked into others; there is no machine code of its own."""

    def _optimize_final_module(self):
        # The passes over single functions have run, and must: without them LLVM leaves many a loop of the
        # kernel without vector instructions.
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(typed_passes.NativeLowering):
    _name = "part_lowering"

    def run_pass(self, state):
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True  # else it is given to the linker, and its address asked for
        super().run_pass(state)
        handle = [].append  # by which callers find it: any built-in function does, if no other is equal to it
        state.cr = state.cr._replace(cfunc=handle)
        state.targetctx.insert_user_function(handle, state.cr.fndesc, [state.library])
        return True


class PartCompiler(compiler.CompilerBase):
    """For `numba.njit(pipeline_class=PartCompiler)`: only compiled functions can call the function."""

    def define_pipelines(self):
        """Return Numba's own pipeline, with another last step."""
        pipeline = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_PartLowering, typed_passes.NativeLowering)
        pipeline.passes = [step for step in pipeline.passes if step[0] is not typed_passes.NativeLowering]
        pipeline.finalize()
        return [pipeline]
