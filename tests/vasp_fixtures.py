"""Fixtures of the VASP tests: potentials that are no POTCARs, and the code of the stand-in, which is not VASP.

The files look like POTCARs to aiida-vasp and to the stand-in: the header lines they read, and a marker in the place of
the data. The marker must be found nowhere else: no node, log, dump, archive or report may hold the text of a POTCAR.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

POTCAR_MARKER = 'NOT-A-REAL-POTCAR-e5c1f0d2'
POTCAR_FAMILY = 'fake-pbe'


def fake_potcar(symbol: str, *, enmax_eV: float = 250.0) -> str:
    """Return a file that is read as the POTCAR of an element, with the marker where the data would be."""
    from ase.data import atomic_masses, atomic_numbers

    element = symbol.partition('_')[0]
    mass = atomic_masses[atomic_numbers[element]]
    return '\n'.join(
        [
            f'  PAW_PBE {symbol} 01Jan2000',
            '   1.00000000000000',
            ' parameters from PSCTR are:',
            f'   VRHFIN ={element}: {POTCAR_MARKER}',
            '   LEXCH  = PE',
            '   EATOM  =     1.0000 eV,    0.1000 Ry',
            '',
            f'   TITEL  = PAW_PBE {symbol} 01Jan2000',
            '   LULTRA =        F    use ultrasoft PP ?',
            '   IUNSCR =        0    unscreen: 0-lin 1-nonlin 2-no',
            '   RPACOR =     .000    partial core radius',
            f'   POMASS = {mass:8.3f}; ZVAL   =    1.000    mass and valenz',
            '   RCORE  =    1.100    outmost cutoff radius',
            f'   ENMAX  =  {enmax_eV:.3f}; ENMIN  =  {0.75 * enmax_eV:.3f} eV',
            '   LCOR   =        T    correct aug charges',
            '   LPAW   =        T    paw PP',
            ' END of PSCTR-controll parameters',
            f' local part {POTCAR_MARKER}',
            f' {POTCAR_MARKER} ' * 4,
            ' End of Dataset',
            '',
        ]
    )


def write_potcar_family(folder: Path, symbols: Sequence[str]) -> Path:
    """Write ``<folder>/<family>/<symbol>/POTCAR`` files and return the folder of the family."""
    family = folder / POTCAR_FAMILY
    for symbol in symbols:
        path = family / symbol / 'POTCAR'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fake_potcar(symbol))
    return family


def upload_fake_potcars(folder: Path, symbols: Sequence[str]) -> dict[str, Any]:
    """Upload fake POTCARs as family :data:`POTCAR_FAMILY` and return their nodes by element."""
    from aiida_vasp.data.potcar import PotcarData

    family = write_potcar_family(folder, symbols)
    PotcarData.upload_potcar_family(family, POTCAR_FAMILY, 'Fake POTCARs of the tests.', stop_if_existing=False)
    mapping = {symbol.partition('_')[0]: symbol for symbol in symbols}
    return dict(PotcarData.get_potcars_dict(list(mapping), POTCAR_FAMILY, mapping=mapping))


def fake_force_field(types: Sequence[str] = ('Ni', 'H'), *, lfast: bool = True, **more: Any) -> bytes:
    """Return a ML_FF with a header as VASP 6.4.3 writes it, and nothing that VASP could run."""
    header = {
        'types': list(types),
        'ML_LFAST': lfast,
        'training_structures': 12,
        'local_reference_cfgs': [3] * len(types),
        'ML_RCUT1': 8.0,
        'ML_RCUT2': 5.0,
        'date': '2025.01.01 12:00:00',
        **more,
    }
    return f'ML_FF 0.2.2 binary {json.dumps(header)}'.ljust(4096).encode() + b'\x00\x01' * 20


@pytest.fixture
def fake_potcars(aiida_profile, once, tmp_path):
    """Give a factory of PotcarData nodes by kind, of the family :data:`POTCAR_FAMILY`."""
    pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

    def factory(symbols: Sequence[str] = ('Ni', 'H')) -> dict[str, Any]:
        return dict(once(('potcars', *symbols), lambda: upload_fake_potcars(tmp_path / 'potcars', symbols)))

    return factory


@pytest.fixture
def vasp_code(aiida_code_installed):
    """Give a factory of codes of the stand-in, which emulates VASP and is not VASP."""
    pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
    from tests.conftest import executable

    def factory(plugin: str = 'hdiff.vasp_mlff', **kwargs: Any) -> Any:
        return aiida_code_installed(
            default_calc_job_plugin=plugin, filepath_executable=executable('hdiff-vasp-standin'), **kwargs
        )

    return factory
