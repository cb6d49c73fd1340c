"""The references that a report can cite: methods, programs and potentials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A reference.

    Attributes
    ----------
    key : str
        Name in BibTeX.
    authors : tuple of str
        Authors as ``Family, Given``; ``others`` stands for et al.
    title, journal, volume, pages, year : str
        The usual.
    doi : str or None
        Digital object identifier.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    journal: str
    volume: str
    pages: str
    year: str
    doi: str | None = None

    @property
    def text(self) -> str:
        """The reference in one line."""
        names = [author.partition(',')[0] for author in self.authors if author != 'others']
        if len(self.authors) > 3 or 'others' in self.authors:
            who = f'{names[0]} et al.'
        else:
            who = ' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)
        return f'{who}, {self.title}, {self.journal} {self.volume}, {self.pages} ({self.year})'


REFERENCES = {
    item.key: item
    for item in (
        Citation('McCluskey2025', ('McCluskey, Andrew R.', 'Coles, Samuel W.', 'Morgan, Benjamin J.'),
                 'Accurate Estimation of Diffusion Coefficients and their Uncertainties from Computer Simulation',
                 'J. Chem. Theory Comput.', '21', '79', '2025', '10.1021/acs.jctc.4c01249'),
        Citation('Maginn2019', ('Maginn, Edward J.', 'Messerly, Richard A.', 'Carlson, Daniel J.', 'Roe, Daniel R.',
                                'Elliott, J. Richard'),
                 'Best Practices for Computing Transport Properties 1. Self-Diffusivity and Viscosity from '
                 'Equilibrium Molecular Dynamics', 'Living J. Comput. Mol. Sci.', '1', '6324', '2019',
                 '10.33011/livecoms.1.1.6324'),
        Citation('Calandrini2011', ('Calandrini, V.', 'Pellegrini, E.', 'Calligari, P.', 'Hinsen, K.',
                                    'Kneller, G. R.'),
                 'nMoldyn - Interfacing spectroscopic experiments, molecular dynamics simulations and models for time '
                 'correlation functions', 'Collection SFN', '12', '201', '2011', '10.1051/sfn/201112010'),
        Citation('Flyvbjerg1989', ('Flyvbjerg, H.', 'Petersen, H. G.'),
                 'Error estimates on averages of correlated data', 'J. Chem. Phys.', '91', '461', '1989',
                 '10.1063/1.457480'),
        Citation('He2018', ('He, Xingfeng', 'Zhu, Yizhou', 'Epstein, Alexander', 'Mo, Yifei'),
                 'Statistical variances of diffusional properties from ab initio molecular dynamics simulations',
                 'npj Comput. Mater.', '4', '18', '2018', '10.1038/s41524-018-0074-y'),
        Citation('Orear1982', ('Orear, Jay',), 'Least squares when both variables have uncertainties', 'Am. J. Phys.',
                 '50', '912', '1982', '10.1119/1.12972'),
        Citation('VanHove1954', ('Van Hove, L.',),
                 'Correlations in Space and Time and Born Approximation Scattering in Systems of Interacting Particles',
                 'Phys. Rev.', '95', '249', '1954', '10.1103/PhysRev.95.249'),
        Citation('Northrup1980', ('Northrup, S. H.', 'Hynes, J. T.'),
                 'The stable states picture of chemical reactions. I. Formulation for rate constants and initial '
                 'condition effects', 'J. Chem. Phys.', '73', '2700', '1980', '10.1063/1.440484'),
        Citation('Murch1982', ('Murch, G.',), 'The Haven ratio in fast ionic conductors', 'Solid State Ionics', '7',
                 '177', '1982', '10.1016/0167-2738(82)90050-9'),
        Citation('Huber2020', ('Huber, Sebastiaan P.', 'others'),
                 'AiiDA 1.0, a scalable computational infrastructure for automated reproducible workflows and data '
                 'provenance', 'Sci. Data', '7', '300', '2020', '10.1038/s41597-020-00638-4'),
        Citation('Uhrin2021', ('Uhrin, Martin', 'Huber, Sebastiaan P.', 'Yu, Jusong', 'Marzari, Nicola',
                               'Pizzi, Giovanni'),
                 'Workflows in AiiDA: Engineering a high-throughput, event-based engine for robust and modular '
                 'computational workflows', 'Comput. Mater. Sci.', '187', '110086', '2021',
                 '10.1016/j.commatsci.2020.110086'),
        Citation('Thompson2022', ('Thompson, Aidan P.', 'others'),
                 'LAMMPS - a flexible simulation tool for particle-based materials modeling at the atomic, meso, and '
                 'continuum scales', 'Comput. Phys. Commun.', '271', '108171', '2022', '10.1016/j.cpc.2021.108171'),
        Citation('Larsen2017', ('Larsen, Ask Hjorth', 'others'),
                 'The atomic simulation environment - a Python library for working with atoms',
                 'J. Phys.: Condens. Matter', '29', '273002', '2017', '10.1088/1361-648X/aa680e'),
        Citation('Deng2023', ('Deng, Bowen', 'Zhong, Peichen', 'Jun, KyuJung', 'Riebesell, Janosh', 'Han, Kevin',
                              'Bartel, Christopher J.', 'Ceder, Gerbrand'),
                 'CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling',
                 'Nat. Mach. Intell.', '5', '1031', '2023', '10.1038/s42256-023-00716-3'),
        Citation('Batatia2022', ('Batatia, Ilyes', 'Kovács, Dávid Péter', 'Simm, Gregor N. C.', 'Ortner, Christoph',
                                 'Csányi, Gábor'),
                 'MACE: Higher Order Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields',
                 'Adv. Neural Inf. Process. Syst.', '35', '11423', '2022', '10.48550/arXiv.2206.07697'),
        Citation('Nguyen2023', ('Nguyen, Ngoc Cuong', 'Rohskopf, Andrew'),
                 'Proper orthogonal descriptors for efficient and accurate interatomic potentials',
                 'J. Comput. Phys.', '480', '112030', '2023', '10.1016/j.jcp.2023.112030'),
        Citation('Jinnouchi2019a', ('Jinnouchi, Ryosuke', 'Lahnsteiner, Jonathan', 'Karsai, Ferenc', 'Kresse, Georg',
                                    'Bokdam, Menno'),
                 'Phase Transitions of Hybrid Perovskites Simulated by Machine-Learning Force Fields Trained on the '
                 'Fly with Bayesian Inference', 'Phys. Rev. Lett.', '122', '225701', '2019',
                 '10.1103/PhysRevLett.122.225701'),
        Citation('Jinnouchi2019b', ('Jinnouchi, Ryosuke', 'Karsai, Ferenc', 'Kresse, Georg'),
                 'On-the-fly machine learning force field generation: Application to melting points', 'Phys. Rev. B',
                 '100', '014105', '2019', '10.1103/PhysRevB.100.014105'),
        Citation('Kresse1996', ('Kresse, G.', 'Furthmüller, J.'),
                 'Efficient iterative schemes for ab initio total-energy calculations using a plane-wave basis set',
                 'Phys. Rev. B', '54', '11169', '1996', '10.1103/PhysRevB.54.11169'),
        Citation('Kresse1999', ('Kresse, G.', 'Joubert, D.'),
                 'From ultrasoft pseudopotentials to the projector augmented-wave method', 'Phys. Rev. B', '59',
                 '1758', '1999', '10.1103/PhysRevB.59.1758'),
        Citation('Mortensen2024', ('Mortensen, Jens Jørgen', 'Larsen, Ask Hjorth', 'Kuisma, Mikael', 'others'),
                 'GPAW: An open Python package for electronic structure calculations', 'J. Chem. Phys.', '160',
                 '092503', '2024', '10.1063/5.0182685'),
        Citation('Qi2024', ('Qi, Ji', 'Ko, Tsz Wai', 'Wood, B. C.', 'Pham, T. A.', 'Ong, Shyue Ping'),
                 'Robust training of machine learning interatomic potentials with dimensionality reduction and '
                 'stratified sampling', 'npj Comput. Mater.', '10', '43', '2024', '10.1038/s41524-024-01227-4'),
    )
}  # fmt: skip
"""References by key."""
