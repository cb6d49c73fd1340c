"""Calcfunction that calibrates the deviation of a committee of potentials against its true error."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_hdiff.analysis.committee import force_deviations
from aiida_hdiff.analysis.committee_summary import committee_summary

_SAME = ('frames', 'numbers', 'offsets')


@calcfunction
def calibrate_committee(record: orm.Dict, **parity: orm.ArrayData) -> dict[str, orm.Data]:
    """Compare the deviation of a committee with its true error on labelled frames.

    Parameters
    ----------
    record
        ``seeds`` by the name of a member, and ``failed``, reasons by the name of those that are missing.
    **parity
        Output ``parity`` of `hdiff.evaluate` of each member on the same data set, by its name.

    Returns
    -------
    dict
        ``results``: what `aiida_hdiff.analysis.committee_summary` says, with ``members``, ``failed`` and ``best``, the
        member with the smallest error of the forces. ``deviations``: arrays ``deviations`` and ``errors`` of the atoms
        (eV/Å), ``forces`` (atoms, 3, 2), labels and means of the members, ``numbers``, ``offsets`` and ``frames``.

    Raises
    ------
    ValueError
        The members were evaluated on different frames.
    """
    names = sorted(parity, key=lambda name: (len(name), name))
    arrays = {name: {key: parity[name].get_array(key) for key in (*_SAME, 'forces')} for name in names}
    first = arrays[names[0]]
    for name in names[1:]:
        same = all(np.array_equal(first[key], arrays[name][key]) for key in _SAME)
        if not same or not np.array_equal(first['forces'][..., 0], arrays[name]['forces'][..., 0]):
            raise ValueError(f'{name} and {names[0]} were evaluated on different frames.')
    labels, forces = first['forces'][..., 0], np.stack([arrays[name]['forces'][..., 1] for name in names])
    summary = committee_summary(forces, labels, first['numbers'], first['offsets'])
    values = record.get_dict()
    members: list[dict[str, Any]] = [
        {'member': name, 'seed': values['seeds'][name], 'force_rmse_meV_A': error}
        for name, error in zip(names, summary.pop('member_force_rmse_meV_A'), strict=True)
    ]
    best = min(members, key=lambda one: one['force_rmse_meV_A'])['member']
    results = orm.Dict({'members': members, 'best': best, 'failed': values['failed'], **summary})
    results.label = f'committee of {len(names)}'
    mean = forces.mean(axis=0)
    node = orm.ArrayData()
    for key in _SAME:
        node.set_array(key, first[key])
    node.set_array('deviations', force_deviations(forces))
    node.set_array('errors', np.linalg.norm(mean - labels, axis=1))
    node.set_array('forces', np.stack([labels, mean], axis=-1))
    node.label = results.label
    return {'results': results, 'deviations': node}
