"""Write the student of a finished study: its two files for LAMMPS, the record of its origin, and its labelled frames.

    python examples/mg-h-dft/export_student.py STUDY FOLDER ARCHIVE

ARCHIVE is that of the study (`aiida-hdiff export STUDY -o ARCHIVE`); its SHA-256 becomes part of the record.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import yaml
from aiida import load_profile, orm

NAME = 'mg_h_pbe'


def main(study: str, folder: Path, archive: Path) -> None:
    """Write the files."""
    load_profile('hdiff')
    node = orm.load_node(study)
    potential, verdict = node.outputs.potentials.pod, node.outputs.trainings.pod.get_dict()
    folder.mkdir(parents=True, exist_ok=True)
    for name, end in zip(potential.file_names, ('.pod', '_coefficients.pod'), strict=True):
        content = potential.base.repository.get_object_content(name, mode='rb')
        (folder / f'{NAME}{end}').write_bytes(content)
    fit = potential.creator
    fit.inputs.train.export(folder / f'{NAME}_train.xyz', fileformat='extxyz', overwrite=True)
    fit.inputs.test.export(folder / f'{NAME}_test.xyz', fileformat='extxyz', overwrite=True)
    text = yaml.safe_dump(record(node, potential, verdict, archive), sort_keys=False, allow_unicode=True)
    (folder / f'{NAME}.yaml').write_text(text, encoding='utf-8')
    print(text)


def record(node: orm.WorkChainNode, potential: Any, verdict: dict[str, Any], archive: Path) -> dict[str, Any]:
    """Return where the potential comes from, and how good it is."""
    fit = verdict['training']
    query = orm.QueryBuilder().append(orm.Data, filters={'uuid': potential.uuid}, tag='potential')
    query.append(orm.CalcJobNode, with_descendants='potential', filters={'process_type': {'like': '%hdiff.label'}})
    job = query.first(flat=True)
    errors = {
        name: {key: round(one[key], 2) for key in ('energy_rmse_meV_per_atom', 'force_rmse_meV_A')}
        | {f'force_rmse_{element}_meV_A': round(value, 2) for element, value in by_element.items()}
        for name in ('train', 'test')
        for one in (fit['splits'][name],)
        for by_element in (one['force_rmse_meV_A_by_element'],)
    }
    return {
        'label': 'POD for H in hcp Mg (PBE)',
        'sha256': potential.sha256,
        'potential': potential.uuid,
        'study': node.uuid,
        'archive': {'name': archive.name, 'sha256': hashlib.sha256(archive.read_bytes()).hexdigest()},
        'labels': {'reference': fit['reference'], **job.inputs.settings.get_dict()['parameters']},
        'frames': dict(fit['n_frames']),
        'errors': errors,
        'rounds': verdict['n_rounds'],
        'valid_for': 'hcp Mg with up to 3 H on 16 Mg, 300 to 1000 K, strains of 3 %',
        'versions': {**job.outputs.results['versions'], **fit['versions']},
    }


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
