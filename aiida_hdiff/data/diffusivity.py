"""The diffusion coefficient at one temperature."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_hdiff.common.rich import html_table

_REQUIRED = (
    'temperature_K',
    'measured_temperature_K',
    'value_m2_s',
    'std_error_m2_s',
    'status',
    'n_hops',
    'upper_bound_m2_s',
)


class DiffusivityData(orm.Dict):
    """D (m²/s) with its standard error, the temperature, the fit window and whether it is resolved.

    The attributes are flat, so that the QueryBuilder finds them: ``attributes.value_m2_s``,
    ``attributes.measured_temperature_K``, ``attributes.status`` (``resolved`` or ``not_resolved``),
    ``attributes.upper_bound_m2_s`` (95 % one-sided).
    """

    def __init__(self, dictionary: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Build from a dictionary of values.

        Raises
        ------
        ValueError
            If a required key is missing.
        """
        missing = [key for key in _REQUIRED if key not in (dictionary or {})]
        if missing:
            raise ValueError(f'a diffusivity needs {", ".join(missing)}.')
        super().__init__(dictionary, **kwargs)

    @property
    def is_resolved(self) -> bool:
        """Whether the run saw enough hops for a value."""
        return bool(self.base.attributes.get('status') == 'resolved')

    @property
    def value_m2_s(self) -> float | None:
        """D (m²/s), or ``None`` if not resolved."""
        return float(self.base.attributes.get('value_m2_s')) if self.is_resolved else None

    @property
    def std_error_m2_s(self) -> float | None:
        """Standard error of D (m²/s), or ``None`` if not resolved."""
        return float(self.base.attributes.get('std_error_m2_s')) if self.is_resolved else None

    @property
    def relative_error(self) -> float | None:
        """Standard error over D, or ``None`` if not resolved."""
        value, error = self.value_m2_s, self.std_error_m2_s
        return None if value is None or error is None else error / value

    def __str__(self) -> str:
        attributes = self.base.attributes
        temperature = attributes.get('measured_temperature_K')
        if not self.is_resolved:
            return f'D({temperature:.0f} K) not resolved, D < {attributes.get("upper_bound_m2_s"):.2g} m²/s'
        return f'D({temperature:.0f} K) = ({self.value_m2_s:.3g} ± {self.std_error_m2_s:.1g}) m²/s'

    def _repr_html_(self) -> str:
        return html_table(f'DiffusivityData {self.uuid[:8]}', self.get_dict())
