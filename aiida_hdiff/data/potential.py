"""A potential: the files and settings that define the energy of atoms."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from aiida import orm
from aiida.orm.nodes.caching import NodeCaching

from aiida_hdiff.formats.eam import read_setfl
from aiida_hdiff.formats.pod import read_species

ARCHITECTURES = ('lammps', 'chgnet', 'mace', 'emt', 'lennard_jones', 'eam', 'vasp-mlff')
"""What computes the potential: a LAMMPS pair style, an ASE calculator, or VASP."""

PAIR_COEFF_TEMPLATES: dict[str, tuple[str, ...]] = {
    'eam/alloy': ('* * {file0} {elements}',),
    'eam/fs': ('* * {file0} {elements}',),
    'eam/he': ('* * {file0} {elements}',),
    'snap': ('* * {file0} {file1} {elements}',),
    'pod': ('* * {file0} {file1} {elements}',),
    'uf3': ('* * {file0} {elements}',),
    'mliap': ('* * {elements}',),
}
"""Default ``pair_coeff`` arguments; ``{fileN}`` is the N-th file, ``{elements}`` the symbols in type order."""


class PotentialCaching(NodeCaching):
    """Two potentials are equal when their content and settings are, whatever their files were called."""

    def get_objects_to_hash(self) -> dict[str, Any]:
        """Return what identifies the potential."""
        attributes = dict(self._node.base.attributes.all)
        attributes.pop('source', None)
        return {'sha256': attributes.pop('sha256', None), 'attributes': attributes}


class PotentialData(orm.Data):
    """One potential with its identity; the path it came from is never kept.

    Build it with :meth:`from_lammps`, :meth:`from_chgnet`, :meth:`from_vasp_mlff` or :meth:`from_file`, and store it by
    :meth:`get_or_create`.
    Files of MACE and CHGNet are pickles: they are stored as bytes and opened only inside jobs, after a scan.
    """

    _CLS_NODE_CACHING = PotentialCaching

    def __init__(
        self,
        *,
        architecture: str,
        elements: Sequence[str],
        files: Sequence[bytes] = (),
        cutoff_A: float | None = None,
        ranges_A: dict[str, float] | None = None,
        pair_style: str | None = None,
        pair_coeff: Sequence[str] | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Build from file contents.

        Raises
        ------
        ValueError
            If the architecture is unknown, the elements are missing, a file is empty, or a LAMMPS potential lacks its
            pair style or coefficients.
        """
        super().__init__(**kwargs)
        if architecture not in ARCHITECTURES:
            raise ValueError(f'architecture {architecture!r} is unknown: choose one of {", ".join(ARCHITECTURES)}.')
        if not elements:
            raise ValueError('`elements` is empty: give the symbols of all elements that the potential covers.')
        for index, content in enumerate(files):
            if not content:
                raise ValueError(f'file {index} of the potential is empty: give the complete file.')
        if architecture == 'lammps':
            pair_coeff = self._pair_coeff(pair_style, pair_coeff, len(files))
        digest = hashlib.sha256()
        for index, content in enumerate(files):
            digest.update(hashlib.sha256(content).digest())
            self.base.repository.put_object_from_filelike(io.BytesIO(content), f'potential.{index}')
        self.base.attributes.set_many(
            {
                'architecture': architecture,
                'elements': list(elements),
                'n_files': len(files),
                'cutoff_A': None if cutoff_A is None else float(cutoff_A),
                'ranges_A': dict(ranges_A or {}),
                'pair_style': pair_style,
                'pair_coeff': None if pair_coeff is None else list(pair_coeff),
                'options': dict(options or {}),
                'sha256': digest.hexdigest(),
            }
        )

    @staticmethod
    def _pair_coeff(pair_style: str | None, pair_coeff: Sequence[str] | None, n_files: int) -> Sequence[str]:
        if not pair_style:
            raise ValueError('a LAMMPS potential needs its `pair_style`, for example "eam/alloy".')
        if pair_coeff is None:
            name = pair_style.split()[0]
            if name not in PAIR_COEFF_TEMPLATES:
                raise ValueError(
                    f'`pair_coeff` has no default for pair style {name!r}: give its arguments, with {{file0}} for the '
                    'first file and {elements} for the symbols.'
                )
            pair_coeff = PAIR_COEFF_TEMPLATES[name]
        text = ' '.join([pair_style, *pair_coeff])
        known = {'elements', *(f'file{i}' for i in range(n_files + 1))}
        unknown = [name for _, name, _, _ in Formatter().parse(text) if name is not None and name not in known]
        if unknown:
            raise ValueError(
                f'{{{unknown[0]}}} in `pair_style` or `pair_coeff` is no placeholder: use {{file0}} for the first file '
                'and {elements} for the symbols.'
            )
        missing = [f'{{file{i}}}' for i in range(n_files) if f'{{file{i}}}' not in text]
        if missing:
            raise ValueError(
                f'{", ".join(missing)} occurs neither in `pair_style` nor in `pair_coeff`: name every file.'
            )
        if f'{{file{n_files}}}' in text:
            raise ValueError(f'`pair_coeff` names {{file{n_files}}}, but only {n_files} file(s) are given.')
        return pair_coeff

    @classmethod
    def from_lammps(
        cls,
        files: Sequence[str | Path],
        *,
        pair_style: str,
        elements: Sequence[str] | None = None,
        cutoff_A: float | None = None,
        pair_coeff: Sequence[str] | None = None,
    ) -> PotentialData:
        """Build from the files of a LAMMPS pair style.

        The elements and cutoff of ``eam/alloy`` and ``eam/fs`` are read from the file, whose completeness is checked.

        Raises
        ------
        ValueError
            If a file is missing, empty, truncated or corrupt, or the elements are not given and not in the file.
        """
        contents = []
        ranges = None
        for path in map(Path, files):
            if not path.is_file():
                raise ValueError(f'potential file {path.name!r} does not exist: check its name.')
            contents.append(path.read_bytes())
        if pair_style in ('eam/alloy', 'eam/fs') and contents:
            if not contents[0]:
                raise ValueError(f'potential file {Path(files[0]).name!r} is empty: give the complete file.')
            try:
                header = read_setfl(contents[0], finnis_sinclair=pair_style == 'eam/fs')
            except ValueError as error:
                raise ValueError(f'potential file {Path(files[0]).name!r}: {error} Fetch it again.') from error
            ranges = header.ranges_A
            elements = header.elements if elements is None else elements
            cutoff_A = header.cutoff_A if cutoff_A is None else cutoff_A
        if pair_style.split()[:1] == ['pod'] and contents:
            elements = read_species(contents[0], elements)
        if not elements:
            raise ValueError(f'`elements` is missing: pair style {pair_style!r} does not tell which ones it covers.')
        node = cls(
            architecture='lammps',
            elements=elements,
            files=contents,
            cutoff_A=cutoff_A,
            ranges_A=ranges,
            pair_style=pair_style,
            pair_coeff=pair_coeff,
        )
        node.label = Path(files[0]).name if files else pair_style
        return node

    @classmethod
    def from_chgnet(cls, model_name: str = '0.3.0') -> PotentialData:
        """Build from the pretrained weights in the installed chgnet package, without importing it.

        Raises
        ------
        ValueError
            If chgnet is not installed or has no such weights.
        """
        from importlib.util import find_spec

        spec = find_spec('chgnet')
        if spec is None or not spec.submodule_search_locations:
            raise ValueError('chgnet is not installed: run `pip install "aiida-hdiff[chgnet]"`.')
        folder = Path(next(iter(spec.submodule_search_locations))) / 'pretrained'
        found = sorted((folder / model_name).glob('*.pth.tar'))
        if not found:
            names = ', '.join(sorted(p.name for p in folder.iterdir() if p.is_dir()))
            raise ValueError(f'chgnet ships no weights named {model_name!r}: choose one of {names}.')
        node = cls(
            architecture='chgnet',
            elements=_ELEMENTS_UP_TO_94,
            files=[found[0].read_bytes()],
            cutoff_A=6.0,
            options={},
        )
        node.label = f'CHGNet {model_name} (pretrained)'
        return node

    @classmethod
    def from_file(
        cls, path: str | Path, *, architecture: str, elements: Sequence[str], cutoff_A: float | None = None
    ) -> PotentialData:
        """Build from the model file of an ASE calculator (MACE, CHGNet, Lennard-Jones parameters).

        Raises
        ------
        ValueError
            If the file is missing or empty, or the architecture is unknown.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f'potential file {path.name!r} does not exist: check its name.')
        node = cls(architecture=architecture, elements=elements, files=[path.read_bytes()], cutoff_A=cutoff_A)
        node.label = path.name
        return node

    @classmethod
    def from_vasp_mlff(
        cls,
        file: bytes | str | Path,
        *,
        elements: Sequence[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> PotentialData:
        """Build from a ML_FF or ML_FFN file of VASP.

        The elements, the version, whether it is a fast (refitted) force field and the cutoff are read from the header
        that VASP writes since 6.4; older files need their elements given.

        Parameters
        ----------
        file
            Content or path.
        elements
            Symbols in the order of the file.
        options
            Settings to keep with the force field; they take precedence over the header.

        Raises
        ------
        ValueError
            If the file is missing or empty, its header cannot be read, or the elements are unknown or contradictory.
        """
        from aiida_hdiff.formats.ml_ff import read_ml_ff_header

        if not isinstance(file, bytes):
            path = Path(file)
            if not path.is_file():
                raise ValueError(f'force field {path.name!r} does not exist: check its name.')
            file = path.read_bytes()
        if not file:
            raise ValueError('the force field is empty: give the complete ML_FF or ML_FFN file.')
        header = read_ml_ff_header(file)
        known: dict[str, Any] = {}
        cutoff_A = None
        if header is not None:
            found = list(header.types)
            if elements is not None and found and list(elements) != found:
                raise ValueError(
                    f'`elements` is {", ".join(elements)}, but the force field is of {", ".join(found)}: leave '
                    '`elements` out, or give the right file.'
                )
            elements = found or elements
            cutoff_A = _force_field_cutoff_A(header.settings)
            known = {'version': header.version, 'lfast': header.lfast, 'emulated': header.emulated}
        if not elements:
            raise ValueError('the force field has no header with its elements (VASP before 6.4): give `elements`.')
        known = {key: value for key, value in known.items() if value is not None}
        node = cls(
            architecture='vasp-mlff',
            elements=elements,
            files=[file],
            cutoff_A=cutoff_A,
            options={**known, **(options or {})},
        )
        node.label = 'VASP force field'
        return node

    @classmethod
    def get_or_create(cls, node: PotentialData) -> PotentialData:
        """Return the stored potential equal to ``node``, or store ``node``."""
        query = orm.QueryBuilder().append(cls, filters={'attributes.sha256': node.sha256})
        wanted = _identity(node)
        for (candidate,) in query.iterall():
            if _identity(candidate) == wanted and candidate.content_sha256() == node.sha256:
                return candidate
        return node.store()

    def _validate(self) -> None:
        super()._validate()
        from aiida.common.exceptions import ValidationError

        for key in ('architecture', 'elements', 'sha256'):
            if key not in self.base.attributes.all:
                raise ValidationError(f'the potential has no `{key}`.')

    @property
    def architecture(self) -> str:
        """One of :data:`ARCHITECTURES`."""
        return str(self.base.attributes.get('architecture'))

    @property
    def elements(self) -> list[str]:
        """Chemical symbols the potential covers."""
        return list(self.base.attributes.get('elements'))

    @property
    def cutoff_A(self) -> float | None:
        """Interaction cutoff (Å), if known."""
        value = self.base.attributes.get('cutoff_A')
        return None if value is None else float(value)

    def interaction_range_A(self, symbols: Sequence[str]) -> float | None:
        """Return the distance (Å) beyond which atoms of these elements do not interact, or the cutoff, if known."""
        ranges = self.base.attributes.get('ranges_A')
        pairs = ['-'.join(sorted((a, b))) for a in set(symbols) for b in set(symbols)]
        if ranges and all(pair in ranges for pair in pairs):
            return max(float(ranges[pair]) for pair in pairs)
        return self.cutoff_A

    @property
    def sha256(self) -> str:
        """SHA-256 over the SHA-256 digests of the files, in order."""
        return str(self.base.attributes.get('sha256'))

    def content_sha256(self) -> str:
        """Return what :attr:`sha256` is to be, from the files themselves."""
        digest = hashlib.sha256()
        for name in self.file_names:
            digest.update(hashlib.sha256(self.base.repository.get_object_content(name, mode='rb')).digest())
        return digest.hexdigest()

    @property
    def file_names(self) -> list[str]:
        """Names of the files in the repository of the node and in the folder of a job."""
        return [f'potential.{index}' for index in range(self.base.attributes.get('n_files'))]

    @property
    def converted_file(self) -> str | None:
        """Name of the file with the same MACE model for the kernels of Symmetrix-XL, or ``None``."""
        return self.file_names[1] if self.architecture == 'mace' and len(self.file_names) > 1 else None

    @property
    def options(self) -> dict[str, Any]:
        """Further settings of the calculator."""
        return dict(self.base.attributes.get('options'))

    def lammps_types(self, symbols: Sequence[str]) -> list[str]:
        """Return the symbols of the atom types with which LAMMPS must be run for atoms of these elements.

        The style ``pod`` takes the n-th type for the n-th species of its file, whatever ``pair_coeff`` names.
        """
        return self.elements if str(self.base.attributes.get('pair_style')).startswith('pod') else list(symbols)

    def pair_commands(self, symbols: Sequence[str]) -> list[str]:
        """Return ``pair_style`` and ``pair_coeff`` for these types; a ValueError unless they are `lammps_types`."""
        if list(symbols) != self.lammps_types(symbols):
            raise ValueError(f'the atom types must be {" ".join(self.elements)}, in this order, for the style pod.')
        names = {f'file{i}': name for i, name in enumerate(self.file_names)}
        names['elements'] = ' '.join(symbols)
        style = self.base.attributes.get('pair_style').format(**names)
        coefficients = [line.format(**names) for line in self.base.attributes.get('pair_coeff')]
        return [f'pair_style {style}', *(f'pair_coeff {line}' for line in coefficients)]

    def missing_elements(self, symbols: Sequence[str]) -> list[str]:
        """Return the symbols that the potential does not cover."""
        return sorted(set(symbols) - set(self.elements))


def _identity(node: PotentialData) -> dict[str, Any]:
    return {key: value for key, value in node.base.attributes.all.items() if key != 'source'}


def _force_field_cutoff_A(settings: Mapping[str, Any]) -> float | None:
    """Return the longest cutoff (Å) in the header of a force field of VASP, or ``None``."""
    found = [settings.get(key) for key in ('ML_RCUT1', 'ML_RCUT2')]
    cutoffs = [float(value) for value in found if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return max(cutoffs, default=None)


_ELEMENTS_UP_TO_94 = (
    'H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb '
    'Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au '
    'Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu'
).split()
