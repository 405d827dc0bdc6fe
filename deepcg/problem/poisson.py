"""`Poisson`: a discretised Poisson-type problem, from cells and coefficients or from a matrix."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from .face_weights import back, front
from .from_matrix.hints import hint_at
from .from_matrix.places import RowPlaces, read_again
from .grid import FLUID, OPEN, SOLID, Array, Grid, check_cells, is_scalar
from .null_space import SingularComponents
from .stencil import Stencil, build_stencil
from .vector_layout import CellLayout, Layout


class Poisson:
    """-div(beta grad x) + s x on a grid of cells, in finite-volume form.

    (A x)_i = sum over faces w_f (x_i - x_nb) + s_i x_i with w_f = beta_f * area / distance of centres; x_nb = 0 in an OPEN
    cell, no term at a SOLID face. With unit spacing and beta every weight is 1.

    Parameters
    ----------
    cells : integer array, (ny, nx) or (nz, ny, nx)
        `deepcg.FLUID` = 0 an unknown, `deepcg.SOLID` = 1 a wall (homogeneous Neumann), `deepcg.OPEN` = 2 a fixed zero
        (Dirichlet). C order, x fastest. Everything per axis below is in the order of these axes.
    spacing : float, one float per axis, or one array of cell widths per axis
        Widths in the user's unit of length.
    coefficient : array of the cells' shape, or a list of one face array per axis
        beta. Per cell: > 0 in FLUID, ignored in SOLID; an OPEN cell whose value is not > 0 takes the fluid cell's. A face
        gets the distance-weighted harmonic mean of its two cells. Per face: n+1 entries along the array's own axis,
        >= 0; 0 closes a face, and values between 0 and 1 serve as the open fraction of a cut cell's face.
    shift : float or array of the cells' shape, >= 0
        Added to the diagonal as it is (not multiplied by volumes).
    boundary : "wall", "open" or "periodic", or one word or (low, high) pair per axis
        What lies outside the array: a wall; a layer of OPEN cells with the width and beta of the cell inside; or the
        array's other end.

    Raises
    ------
    ValueError, TypeError
        The message names the argument, what is wrong with it and what would be right.

    Examples
    --------
    >>> import numpy as np, deepcg
    >>> cells = np.zeros((4, 6), dtype=np.uint8)
    >>> problem = deepcg.Poisson(cells, boundary=[("wall", "open"), "wall"])
    >>> problem.matrix().shape
    (24, 24)
    """

    def __init__(self, cells: ArrayLike, *, spacing=1.0, coefficient=None, shift=None, boundary="wall"):
        self.grid = Grid.create(cells, spacing, boundary)
        self.stencil = build_stencil(self.grid, coefficient, shift)
        self.layout: Layout = CellLayout(self.stencil)
        self.source: dict = {"coefficient": deepcopy(coefficient), "shift": deepcopy(shift)}  # theirs may change
        self.places: RowPlaces | None = None  # of a matrix that was read

    @classmethod
    def from_matrix(cls, A, *, cells=None, shape=None, coordinates=None, rounding=None) -> Poisson:
        """The problem behind a 5- or 7-point matrix: weights, boundary kinds and sign are read from its entries.

        Parameters
        ----------
        A : SciPy sparse matrix or array, (n, n)
            Rows over all cells of the grid or over its FLUID cells, in C order (any order with `coordinates`).
            Symmetric with non-positive off-diagonals (an M-matrix), or the negative of such a matrix. What a diagonal has beyond
            the sum of its row's off-diagonals is given to open faces where neighbours are missing, and is `shift` elsewhere;
            what it lacks is a negative shift. Rows that are diagonal only, with the one-sided
            couplings to them, are eliminated.
        cells : integer array
            The cells, when the rows are the FLUID ones or the grid's kinds are known.
        shape : tuple of int
            The grid's shape when every cell has a row. A line of cells, (nx,), becomes a grid of shape (1, nx).
        coordinates : (n, 2) or (n, 3) float array
            Cell centres of the rows as (x, y[, z]), on a (possibly graded) grid.
        rounding : float
            Relative rounding of A's entries, such as 5e-6 of numbers written with six digits. Rows whose sums it explains may be
            those of a singular matrix. By default that of A's dtype, or of the digits that its entries have.

        Returns
        -------
        Poisson
            `problem.apply`, `problem.matrix` and the vectors of `deepcg.solve` are those of A as given: its sign, its rows.

        Raises
        ------
        ValueError
            With the reason: positive off-diagonals, asymmetry, far couplings, an indefinite diagonal, or a shape that
            does not fit.
        """
        from .from_matrix.reader import read_matrix  # it builds on this class

        try:
            problem = read_matrix(cls, A, cells=cells, shape=shape, coordinates=coordinates, rounding=rounding)
        except ValueError as error:
            by_shape = cells is None and coordinates is None
            raise ValueError(f"{error}{hint_at(str(error), A, shape) if by_shape else ''}") from None
        problem.places = RowPlaces.of(problem, None if cells is None else check_cells(cells), A.dtype, rounding)
        return problem

    def reread(self, A, rounding: float | None = None) -> Poisson:
        """The problem behind another matrix whose rows lie where those of this problem's matrix lie; its entries may be any."""
        if self.places is None:
            raise ValueError("problem: it was made from cells, not read from a matrix; Poisson.from_matrix reads one")
        return self.places.read(type(self), A, rounding)

    def __reduce_ex__(self, protocol):
        """A copy of a problem that was read reads its matrix again: what the kernels hold of it is not copied."""
        if self.places is None:
            return super().__reduce_ex__(protocol)
        return read_again, (type(self), self.places, self.layout.matrix())

    @classmethod
    def assemble(cls, grid: Grid, stencil: Stencil, layout: Layout) -> Poisson:
        """A problem from parts that are already checked."""
        problem = cls.__new__(cls)
        problem.grid, problem.stencil, problem.layout, problem.source = grid, stencil, layout, {}
        problem.places = None
        return problem

    @property
    def cells(self) -> NDArray[np.uint8]:
        return self.grid.cells

    @property
    def shape(self) -> tuple[int, ...]:
        """The cells' shape."""
        return self.grid.shape

    @property
    def ndim(self) -> int:
        return self.grid.ndim

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.stencil.size

    @cached_property
    def components(self) -> SingularComponents:
        """Connected components without an OPEN face or a shift: there the constants are the null space."""
        return SingularComponents(self.stencil)

    @property
    def singular(self) -> bool:
        return self.components.count > 0

    def matrix(self) -> sp.csr_array:
        """A as a SciPy CSR array over the FLUID cells in C order (of `from_matrix`: the matrix as given)."""
        return self.layout.matrix()

    def apply(self, x: ArrayLike) -> Array:
        """A x, matrix-free; x has the cells' shape or is flat over the unknowns, and so is the result. Several as in `deepcg.solve`."""
        count = self.layout.count_columns(x)
        if count is None:
            return self.layout.apply(x)
        products = np.empty(np.shape(x))
        for column in range(count):
            products[..., column] = self.layout.apply(np.asarray(x)[..., column])
        return products

    def updated(self, *, cells=None, coefficient=None, shift=None) -> Poisson:
        """A problem on the same grid with other cells, coefficient or shift; what is not given stays."""
        if not self.source and self.layout.of_matrix:
            raise ValueError(
                "problem: it was read from a matrix; pass the new problem, Poisson.from_matrix(A), instead of cells or coefficient"
            )
        return Poisson(
            self.cells if cells is None else cells,
            spacing=self.grid.widths,
            coefficient=self.source["coefficient"] if coefficient is None else coefficient,
            shift=self.source["shift"] if shift is None else shift,
            boundary=self.grid.boundary,
        )

    def rhs(self, source: ArrayLike = 0.0, *, open_value: ArrayLike = 0.0, wall_flux=0.0) -> Array:
        """The right-hand side of -div(beta grad x) + s x = source with inhomogeneous boundary data.

        Parameters
        ----------
        source : float or array of the cells' shape
            Per unit of volume; multiplied by the cells' volumes.
        open_value : float or array
            x in OPEN cells. An array of the cells' shape holds the values of OPEN cells inside the array, and the layer
            outside an open side takes the value of the cell it touches; an array with one more cell on each side of
            every axis holds the outer layer too.
        wall_flux : float, or one face array per axis
            beta times the derivative of x along the outward normal at walls. A float holds at every wall face; face arrays
            (n+1 entries along their own axis) hold the component of beta grad x along the positive axis there.

        Returns
        -------
        b : float64 array of the cells' shape, 0 outside FLUID
        """
        if self.layout.of_matrix:
            raise ValueError("rhs: a problem read from a matrix has no boundary data of its own; pass b itself")
        shape, fluid = self.shape, self.grid.fluid
        density = np.asarray(source, dtype=np.float64)
        if density.ndim and density.shape != shape:
            raise ValueError(f"source: shape {density.shape} given; a scalar or the cells' {shape} is needed")
        b = np.broadcast_to(density, shape) * self.grid.volumes()
        fixed = self._open_values(open_value)
        for axis in range(self.ndim):
            kind = self.grid.pad_cells(axis)
            low, high = kind[front(axis)], kind[back(axis)]
            w, value = self.stencil.weights[axis], fixed[axis]
            into_low = np.where((low == FLUID) & (high == OPEN), w * value[back(axis)], 0.0)
            into_high = np.where((high == FLUID) & (low == OPEN), w * value[front(axis)], 0.0)
            flux = self._wall_flux(axis, wall_flux) * self.grid.areas(axis)
            outward = -1.0 if is_scalar(wall_flux) else 1.0  # a scalar is along the outward normal on either side
            into_low += np.where((low == FLUID) & (high == SOLID), flux, 0.0)
            into_high -= np.where((high == FLUID) & (low == SOLID), outward * flux, 0.0)
            b = b + into_low[back(axis)] + into_high[front(axis)]
        return np.where(fluid, b, 0.0)

    def _open_values(self, open_value: ArrayLike) -> list[Array]:
        """Per axis: values in the cells padded along that axis."""
        value = np.asarray(open_value, dtype=np.float64)
        outer = tuple(n + 2 for n in self.shape)
        if value.shape == outer:
            inner = tuple(slice(1, -1) for _ in outer)
            padded = [value[inner[:axis] + (slice(None),) + inner[axis + 1 :]] for axis in range(self.ndim)]
        elif value.ndim == 0 or value.shape == self.shape:
            full = np.broadcast_to(value, self.shape)
            padded = [self.grid.pad(axis, full) for axis in range(self.ndim)]
        else:
            raise ValueError(
                f"open_value: shape {value.shape} given; a scalar, the cells' {self.shape}, or {outer} with the layer outside is needed"
            )
        return padded

    def _wall_flux(self, axis: int, wall_flux) -> Array:
        if is_scalar(wall_flux):
            return np.asarray(float(wall_flux))
        if len(wall_flux) != self.ndim:
            raise ValueError(
                f"wall_flux: {len(wall_flux)} entries given; a scalar or one face array per axis is needed"
            )
        flux = np.asarray(wall_flux[axis], dtype=np.float64)
        shape = tuple(n + (a == axis) for a, n in enumerate(self.shape))
        if flux.shape != shape:
            raise ValueError(f"wall_flux[{axis}]: shape {flux.shape} given; the faces' {shape} is needed")
        return flux

    def __repr__(self) -> str:
        kinds = "matrix" if self.layout.of_matrix else "cells"
        return f"<deepcg.Poisson {'x'.join(map(str, self.shape))} {kinds}, {self.size} unknowns>"
