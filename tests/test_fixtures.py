"""What the shared fixtures promise."""

import pytest
from aiida import orm
from aiida.common.links import LinkType


def test_cycles_of_stored_nodes_are_still_refused(aiida_profile):
    """The fixture spares the search for cycles only where a node is not stored."""
    source, job = orm.Int(1).store(), orm.CalculationNode()
    job.base.links.add_incoming(source, LinkType.INPUT_CALC, 'source')
    job.store()
    with pytest.raises(ValueError, match='would generate a cycle'):
        source.base.links.add_incoming(job, LinkType.CREATE, 'result')


def test_codes_are_kept_for_their_profile(fake_code, aiida_localhost):
    assert fake_code('hdiff.md').pk == fake_code('hdiff.md').pk != fake_code('hdiff.label').pk
    assert fake_code().computer.pk == aiida_localhost.pk


def test_codes_are_new_in_a_new_profile(aiida_profile_clean, fake_code):
    assert fake_code().is_stored
    assert orm.QueryBuilder().append(orm.InstalledCode).count() == 1
