"""What genuine model files of CHGNet and MACE name, found by reading such files; nothing else may be in one."""

from __future__ import annotations

ORDERED_DICT = 'collections.OrderedDict'
_STORAGES = frozenset(f'torch.{kind}Storage' for kind in ('Bool', 'Double', 'Float', 'Int', 'Long'))
_TENSORS = frozenset({ORDERED_DICT, 'torch._utils._rebuild_tensor_v2'})

_E3NN_CLASSES = """
    e3nn.math._normalize_activation.normalize2mom
    e3nn.nn._activation.Activation
    e3nn.nn._fc.FullyConnectedNet
    e3nn.nn._fc._Layer
    e3nn.o3._irreps.Irrep
    e3nn.o3._irreps.Irreps
    e3nn.o3._irreps._MulIr
    e3nn.o3._linear.Instruction
    e3nn.o3._linear.Linear
    e3nn.o3._spherical_harmonics.SphericalHarmonics
    e3nn.o3._tensor_product._instruction.Instruction
    e3nn.o3._tensor_product._sub.FullyConnectedTensorProduct
    e3nn.o3._tensor_product._tensor_product.TensorProduct
"""
_MACE_CLASSES = """
    mace.modules.blocks.AtomicEnergiesBlock
    mace.modules.blocks.EquivariantProductBasisBlock
    mace.modules.blocks.LinearNodeEmbeddingBlock
    mace.modules.blocks.LinearReadoutBlock
    mace.modules.blocks.NonLinearReadoutBlock
    mace.modules.blocks.RadialEmbeddingBlock
    mace.modules.blocks.RealAgnosticAttResidualInteractionBlock
    mace.modules.blocks.RealAgnosticDensityInteractionBlock
    mace.modules.blocks.RealAgnosticDensityResidualInteractionBlock
    mace.modules.blocks.RealAgnosticInteractionBlock
    mace.modules.blocks.RealAgnosticResidualInteractionBlock
    mace.modules.blocks.RealAgnosticResidualNonLinearInteractionBlock
    mace.modules.blocks.ScaleShiftBlock
    mace.modules.gate.GatedEquivariantBlock
    mace.modules.irreps_tools.reshape_irreps
    mace.modules.models.MACE
    mace.modules.models.ScaleShiftMACE
    mace.modules.radial.AgnesiTransform
    mace.modules.radial.BesselBasis
    mace.modules.radial.ChebychevBasis
    mace.modules.radial.GaussianBasis
    mace.modules.radial.PolynomialCutoff
    mace.modules.radial.RadialMLP
    mace.modules.radial.SoftTransform
    mace.modules.radial.ZBLBasis
    mace.modules.symmetric_contraction.Contraction
    mace.modules.symmetric_contraction.SymmetricContraction
"""
_TORCH_CLASSES = """
    torch.nn.modules.activation.SiLU
    torch.nn.modules.container.ModuleList
    torch.nn.modules.container.ParameterList
    torch.nn.modules.container.Sequential
    torch.nn.modules.linear.Linear
    torch.nn.modules.normalization.LayerNorm
"""

GETATTR = '__builtin__.getattr'
REDUCE_GRAPH_MODULE = 'torch.fx.graph_module.reduce_graph_module'
VARIABLE_FUNCTIONS = 'torch._C._VariableFunctionsClass'
FUNCTION_NAMES = frozenset({'abs', 'tanh'})
"""The only functions that may be looked up in :data:`VARIABLE_FUNCTIONS`."""

CALLED: dict[str, frozenset[str]] = {
    'chgnet': _TENSORS,
    'mace': _TENSORS
    | frozenset({'torch._utils._rebuild_parameter', '__builtin__.set', GETATTR, REDUCE_GRAPH_MODULE})
    | frozenset((_E3NN_CLASSES + _MACE_CLASSES + _TORCH_CLASSES).split()),
}
"""What the pickle of each architecture may call; :mod:`model_scan` also looks at the arguments."""

NAMED: dict[str, frozenset[str]] = {
    'chgnet': _STORAGES,
    'mace': _STORAGES
    | {'torch.fx._symbolic_trace.Tracer', 'torch.nn.functional.sigmoid', 'torch.nn.functional.silu'}
    | {VARIABLE_FUNCTIONS},
}
"""What it may hold as a value, without calling it."""

GRAPH_MODULE_KEYS = frozenset(
    """
    _backward_hooks _backward_pre_hooks _buffers _code _create_node_hooks _deepcopy_hooks _erase_node_hooks
    _forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks
    _forward_pre_hooks_with_kwargs _is_full_backward_hook _lineno_map _load_state_dict_post_hooks
    _load_state_dict_pre_hooks _modules _non_persistent_buffers_set _parameters _prologue_start _replace_hooks
    _state_dict_hooks _state_dict_pre_hooks _tracer_cls _tracer_extras meta shape_env training
    """.split()
)
"""The attributes of a ``torch.fx.GraphModule`` as it is stored."""
GRAPH_IMPORTS = frozenset(
    {
        'NoneType = type(None)',
        'from math import inf',
        'from math import nan',
        'from torch import device',
        'import torch',
        'import torch.fx._pytree as fx_pytree',
        'import torch.utils._pytree as pytree',
    }
)
"""The lines before the source of a stored ``torch.fx.GraphModule``."""
GRAPH_FUNCTIONS = frozenset({'torch.functional.einsum', 'torch.functional.tensordot'})
"""What that source may call, beside the method ``permute`` of a tensor."""

SCRIPT_FUNCTIONS = frozenset(
    'torch.' + name
    for name in (
        '__is__ add broadcast_tensors broadcast_to cat device einsum empty expand mul narrow new_zeros permute '
        'reshape size slice tensordot'
    ).split()
) | {'ops.prim.RaiseException'}
"""What the TorchScript inside a MACE model may call."""
