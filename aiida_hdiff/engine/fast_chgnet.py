"""CHGNet for molecular dynamics: the same function of the same weights as the stock calculator, evaluated faster.

The network is that of Deng et al., Nat. Mach. Intell. 5, 1031 (2023), 10.1038/s42256-023-00716-3, as it is in
``chgnet.model.CHGNet``. What differs is the order of the arithmetic:

* The energy is differentiated once, by the bond vectors. Forces and virial are sums of that one gradient: the stress
  costs no second gradient, and the graph of the gradients, which only a training needs, is not made.
* The first linear map of a gated network is applied to atoms and bonds, and then gathered into messages.
* The neighbours are kept in a list with a skin, and searched again only when it could miss one.
* Bond lengths, angles and their basis functions are computed in float64; the network in its own precision, float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from aiida_hdiff.engine.implementations import RECORD, NotApplicableError
from aiida_hdiff.engine.neighbours import Angles, Neighbours, Pairs, bond_angles


class FastCHGNetCalculator(Calculator):
    """Energy (eV), forces (eV/Å) and stress (eV/Å³) by a CHGNet, without magnetic moments.

    The parameters of the model no longer take part in gradients afterwards.

    Parameters
    ----------
    model
        A ``chgnet.model.CHGNet``.
    device
        Where torch computes.

    Raises
    ------
    NotApplicableError
        If the model is of another build than the published ones.
    """

    implemented_properties = ['energy', 'free_energy', 'forces', 'stress']

    def __init__(self, model: Any, device: str = 'cpu') -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._network = Network(model, device)
        self._neighbours = Neighbours(self._network.cutoff_A)
        setattr(self, RECORD, {'implementation': 'fast_chgnet', 'dtype': 'float32'})

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Compute energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        atoms = self.atoms
        pairs = self._neighbours.update(atoms)
        energy, gradient = self._network.energy_and_gradient(atoms.numbers, pairs)
        forces = np.zeros((len(atoms), 3))
        for axis, slope in enumerate(gradient.T):
            forces[:, axis] = np.bincount(pairs.first, slope, len(atoms))
            forces[:, axis] -= np.bincount(pairs.second, slope, len(atoms))
        self.results = {'energy': energy, 'free_energy': energy, 'forces': forces}
        if atoms.cell.rank == 3:
            stress = pairs.vectors_A.T @ gradient / atoms.get_volume()
            stress = (stress + stress.T) / 2
            self.results['stress'] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


class Network:
    """The weights of a CHGNet, and its energy as a function of the bond vectors.

    Parameters
    ----------
    model
        A ``chgnet.model.CHGNet``.
    device
        Where torch computes.
    """

    def __init__(self, model: Any, device: str) -> None:
        _require_known_build(model)
        self._model, self._device = model.to(device).eval().requires_grad_(False), device
        self.cutoff_A = float(model.graph_converter.atom_graph_cutoff)
        self._angle_cutoff_A = float(model.graph_converter.bond_graph_cutoff)
        self._radial = model.bond_basis_expansion.rbf_expansion_ag
        self._radial_of_angles = model.bond_basis_expansion.rbf_expansion_bg
        atom, bond, angle = model.atom_fea_dim, model.bond_fea_dim, model.angle_embedding.out_features
        self._atom_networks = [_Gated(one.twoBody_atom, (atom, bond, atom)) for one in model.atom_conv_layers]
        self._bond_networks = [_Gated(one.twoBody_bond, (bond, bond, angle, atom)) for one in model.bond_conv_layers]
        self._angle_networks = [_Gated(one.twoBody_bond, (bond, bond, angle, atom)) for one in model.angle_layers]
        # The embedding of a bond is linear, and so is what follows it in a network.
        self._radial_maps = [model.bond_embedding.weight.T @ one.maps[1] for one in self._atom_networks]

    def energy_and_gradient(self, numbers: Any, pairs: Pairs) -> tuple[float, Any]:
        """Return the energy (eV) and its derivative by the vectors of the pairs, ``(n_pairs, 3)``, in eV/Å."""
        import torch

        kinds = torch.as_tensor(numbers - 1, device=self._device)
        vectors = torch.tensor(pairs.vectors_A, dtype=torch.float64, device=self._device, requires_grad=True)
        energy = self._energy(kinds, vectors, pairs)
        (gradient,) = torch.autograd.grad(energy, vectors)
        reference = self._model.composition_model
        of_atoms = 0.0 if reference is None else float(reference.fc.weight.double().view(-1)[kinds].sum())
        return float(energy.detach()) + of_atoms, gradient.cpu().numpy()

    def _energy(self, kinds: Any, vectors: Any, pairs: Pairs) -> Any:
        import torch

        model = self._model
        first, second = (torch.as_tensor(one, device=self._device) for one in (pairs.first, pairs.second))
        centers, neighbours = torch.cat([first, second]), torch.cat([second, first])
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        radial = self._radial(lengths).float()
        weights = model.bond_weights_ag(radial)
        atoms = model.atom_embedding(kinds)
        bonds = _Bonds(self, bond_angles(pairs, self._angle_cutoff_A), vectors, lengths, radial)
        for layer, network in enumerate(self._atom_networks):
            on_pairs = radial @ self._radial_maps[layer]
            bias = network.bias
            if bonds.changed:
                on_pairs = on_pairs.index_add(1, bonds.places, bonds.change @ network.maps[1])
                bias = bias + bonds.shift @ network.maps[1]
            at_center, at_neighbour = atoms @ network.maps[0] + bias, atoms @ network.maps[2]
            hidden = at_center.index_select(1, centers) + at_neighbour.index_select(1, neighbours)
            hidden = hidden.unflatten(1, (2, len(lengths))) + on_pairs[:, None]
            messages = network(hidden.flatten(1, 2)).unflatten(0, (2, len(lengths))) * weights
            collected = torch.zeros_like(atoms).index_add(0, centers, messages.flatten(0, 1))
            atoms = atoms + model.atom_conv_layers[layer].mlp_out(collected)
            if layer < len(self._bond_networks):
                bonds.convolve(layer, atoms)
        if model.readout_norm is not None:
            atoms = model.readout_norm(atoms)
        return model.mlp(atoms).double().sum()

    def of_bonds(self, layer: int) -> tuple[_Gated, _Gated, Any]:
        """Return the networks of bonds and angles of a layer, and the output map of the bonds."""
        (output,) = (one for one in self._model.bond_conv_layers[layer].mlp_out.layers if hasattr(one, 'weight'))
        return self._bond_networks[layer], self._angle_networks[layer], output

    def bases(self, angles: Angles, vectors: Any, lengths: Any) -> tuple[Any, Any]:
        """Return the smooth weights of bonds and the features of the angles between them."""
        import torch

        left, right = (torch.as_tensor(one, device=self._device) for one in (angles.left, angles.right))
        units = vectors / lengths[:, None]
        signs = torch.as_tensor(angles.signs, dtype=vectors.dtype, device=self._device)
        cosines = (units[left] * units[right]).sum(1) * signs * (1 - 1e-6)
        waves = self._model.angle_basis_expansion.fourier_expansion(torch.acos(cosines)).float()
        weights = self._model.bond_weights_bg(self._radial_of_angles(lengths).float())
        return weights[left] * weights[right], self._model.angle_embedding(waves)

    def embed(self, radial: Any) -> Any:
        """Return the features that bonds begin with."""
        return self._model.bond_embedding(radial)


class _Bonds:
    """The short bonds, whose features change from layer to layer; ``change`` is by how much, ``shift`` that of all."""

    def __init__(self, network: Network, angles: Angles, vectors: Any, lengths: Any, radial: Any) -> None:
        import torch

        self.changed = False
        self._has_angles = len(angles.left) > 0
        if not self._has_angles:
            return
        device = vectors.device
        self._network = network
        self.places, self._left, self._right, self._centers = (
            torch.as_tensor(one, device=device) for one in (angles.bonds, angles.left, angles.right, angles.centers)
        )
        self._weights, self._angles = network.bases(angles, vectors[self.places], lengths[self.places])
        self._start = network.embed(radial[self.places])
        self.change = torch.zeros_like(self._start)
        self.shift = torch.zeros_like(self._start[:1])

    def convolve(self, layer: int, atoms: Any) -> None:
        import torch

        if not self._has_angles:
            return
        of_bonds, of_angles, output = self._network.of_bonds(layer)
        update = of_bonds(self._hidden(of_bonds, atoms)) * self._weights
        collected = torch.zeros_like(self.change).index_add(0, self._left, update)
        self.change = self.change + collected @ output.weight.T
        if output.bias is not None:
            self.shift = self.shift + output.bias
        self._angles = self._angles + of_angles(self._hidden(of_angles, atoms))
        self.changed = True

    def _hidden(self, network: _Gated, atoms: Any) -> Any:
        bonds = self._start + self.change + self.shift
        left, right, angle, center = network.maps
        return (
            (bonds @ left + network.bias).index_select(1, self._left)
            + (bonds @ right).index_select(1, self._right)
            + (atoms @ center).index_select(1, self._centers)
            + self._angles @ angle
        )


class _Gated:
    """A gated network: of core and gate, ``maps`` takes each input to the first hidden layer, the call goes on."""

    def __init__(self, gated: Any, widths: tuple[int, ...]) -> None:
        import torch

        branches = [
            [one for one in branch.layers if isinstance(one, torch.nn.Linear)]
            for branch in (gated.mlp_core, gated.mlp_gate)
        ]
        weights = [torch.stack([one.weight.T for one in pair]).contiguous() for pair in zip(*branches, strict=True)]
        biases = [torch.stack([one.bias[None] for one in pair]) for pair in zip(*branches, strict=True)]
        self.maps = [one.contiguous() for one in weights[0].split(widths, dim=1)]
        self.bias = biases[0]
        self._further = list(zip(biases[1:], weights[1:], strict=True))
        self._gated = gated

    def __call__(self, hidden: Any) -> Any:
        import torch

        gated = self._gated
        for bias, weight in self._further:
            hidden = torch.baddbmm(bias, gated.activation(hidden), weight)
        core, gate = hidden
        if gated.norm is not None:
            core, gate = gated.bn1(core), gated.bn2(gate)
        return gated.activation(core) * torch.sigmoid(gate)


def _require_known_build(model: Any) -> None:
    """Refuse what the published models do not have.

    Raises
    ------
    NotApplicableError
        With what it is.
    """
    import torch

    for name in ('mlp_first', 'update_bond', 'update_angle'):
        if model.model_args.get(name, True) is not True:
            raise NotApplicableError(f'the CHGNet was built with `{name}: {model.model_args[name]}`')
    if model.model_args.get('conv_norm') is not None or model.model_args.get('gMLP_norm') == 'batch':
        raise NotApplicableError('the CHGNet has normalisations that the published ones do not have')
    reference = model.composition_model
    if reference is not None and bool(reference.is_intensive) != bool(model.is_intensive):
        raise NotApplicableError('the reference energies of the CHGNet are not of the kind of its energies')
    if any(one.dtype != torch.float32 for one in model.parameters()):
        raise NotApplicableError('the weights of the CHGNet are not float32')
