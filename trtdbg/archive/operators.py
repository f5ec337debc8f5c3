"""Operators that may run on the real values of a stranger's file while it is analysed.

Constant folding runs operators on real weights. An operator that trusts its sizes then reads
memory that is not the model's. So operators come from namespaces that check them, less single
ones that do not.
"""

from __future__ import annotations

import re
from typing import Final

import torch

_SAFE_NAMESPACES: Final = frozenset(
    (
        "aten",
        "prims",
        "higher_order",
        "torchvision",
        "quantized_decomposed",
        "tensorrt",
        "rngprims",
    )
)

_UNSAFE: Final = re.compile(
    r"aten\.(?:set_\w*|_set_\w+|_reshape_alias\w*|_sparse_\w+|sparse_\w+|_nested_\w+"
    r"|_coalesced_?|_convert_indices_\w+|_jagged_\w+|_padded_dense_to_jagged\w*"
    r"|_weight_int4pack_\w+|_dyn_quant_\w+|_cslt_\w+|_wrapped_\w+|_mkldnn_\w+|mkldnn_\w+"
    r"|_use_cudnn_\w+|_cudnn_\w+|_embedding_bag\w*backward\w*|_resize_output\w*|resize_\w*"
    r"|_unsafe_masked_index_put_accumulate|_make_dep_token|data|_version|from_file|save"
    r"|_convert_weight_to_int4pack\w*|_mixed_dtypes\w*|fbgemm_\w+|quantized_\w+|_thnn_\w+"
    r"|_segment_reduce_\w+|_transform_bias_rescale_qkv|unfold_backward|_fill_mem_eff\w*"
    r"|_flash_attention\w*|_efficient_attention\w*|cudnn_\w+|miopen_\w+|_cufft\w*"
    r"|_scaled_dot_product_(?:flash|efficient|cudnn|fused)\w*backward\w*|_validate_\w+"
    r"|_triton\w*|_neg_view_from\w*|_pin_memory|sspaddmm\w*|_spdiags|record_stream|set_data"
    r")(?:\.\w+)?"
    r"|prims\.(?:_?inductor_\w+|_make_token)(?:\.\w+)?"
    r"|higher_order\.(?:aoti_call_delegate|executorch_call_delegate|flat_apply|call_torchbind"
    r"|triton_kernel_wrapper_\w+|inductor_compiled_code)(?:\.\w+)?",
    re.ASCII,
)
"""Single operators that take sizes, strides or indices as they are."""

_OF_TORCH: Final = frozenset(
    [
        "_C",
        "_c10d_functional",
        "_c10d_functional_autograd",
        "_caffe2",
        "_dtensor",
        "_inductor_test",
        "_quantized",
        "_test",
        "bucketing",
        "c10d",
        "cuda",
        "debugprims",
        "export",
        "fsdp",
        "inductor",
        "mkl",
        "mkldnn",
        "mkldnn_prepacked",
        "onednn",
        "prepacked",
        "profiler",
        "quantized",
        "rnn",
        "sparse",
        "static_runtime",
        "streams",
        "symm_mem",
        "xnnpack",
    ]
)
"""Namespaces that torch itself registers, some of them late (2.13)."""


def is_unsafe(name: str) -> bool:
    """Returns whether an operator such as `aten.set_.source_Tensor` is refused.

    Namespaces that torch does not know are those of `--import`, whose code the user runs.
    """
    namespace = name.partition(".")[0]
    if namespace in _SAFE_NAMESPACES:
        return _UNSAFE.fullmatch(name) is not None
    return namespace in _OF_TORCH or namespace in _REGISTERED


_REGISTERED: Final = frozenset(
    name.partition("::")[0] for name in torch._C._dispatch_get_all_op_names()
)
"""Namespaces that stood before the first library of `--import`."""
