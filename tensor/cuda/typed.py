"""`torch.cuda.FloatTensor` and its kind: makers of tensors of one type on the GPU."""

from tensor import dtypes
from tensor.typed import typed

FloatTensor = typed(dtypes.float32, "cuda")
DoubleTensor = typed(dtypes.float64, "cuda")
LongTensor = typed(dtypes.int64, "cuda")
IntTensor = typed(dtypes.int32, "cuda")
ShortTensor = typed(dtypes.int16, "cuda")
CharTensor = typed(dtypes.int8, "cuda")
ByteTensor = typed(dtypes.uint8, "cuda")
BoolTensor = typed(dtypes.bool, "cuda")
