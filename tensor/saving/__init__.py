"""`torch.save` and `torch.load`: PyTorch's own files, written and read without PyTorch and without its risks.

A `.pt` file is a zip archive of one pickle (`data.pkl`) and the bytes of each storage. `pickler` writes that
pickle and `unpickler` reads it, each opcode by opcode: no object is asked how it wants to be pickled, and
nothing that a file names is imported or called (`names` says what stands for it). `archive` holds the zip,
`legacy` the format before it, `storages` the element types and the memory that tensors share, `flat`
safetensors, and `files` finds out which of them a file is.
"""

from tensor.saving.files import load, save

__all__ = ["load", "save"]
