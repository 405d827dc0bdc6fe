! -div grad u = f on the unit square, u = 0 on its sides, cell-centred on a DMDA; any KSP and PC by options, deepcg's among them:
!
!   ./poisson -dll_append .../libdeepcg_petsc.so -pc_type deepcg -ksp_converged_reason
!
! f is such that u = sin(pi x) sin(2 pi y); the error of the discretisation falls with 1 / n^2. -n N: cells along each axis (default 64).
program poisson
#include <petsc/finclude/petscksp.h>
#include <petsc/finclude/petscdmda.h>
  use petscksp
  use petscdmda
  implicit none

  PetscErrorCode :: ierr
  PetscInt :: n, iterations
  PetscInt, parameter :: one = 1
  PetscBool :: given
  PetscReal :: error, residual
  DM :: cells
  KSP :: ksp
  Mat :: A
  Vec :: b, u, exact, r
  PetscMPIInt :: rank

  PetscCallA(PetscInitialize(ierr))
  n = 64
  PetscCallA(PetscOptionsGetInt(PETSC_NULL_OPTIONS, PETSC_NULL_CHARACTER, '-n', n, given, ierr))
  PetscCallA(DMDACreate2d(PETSC_COMM_WORLD, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_STAR, n, n, PETSC_DECIDE, PETSC_DECIDE, one, one, PETSC_NULL_INTEGER, PETSC_NULL_INTEGER, cells, ierr))
  PetscCallA(DMSetFromOptions(cells, ierr))
  PetscCallA(DMSetUp(cells, ierr))
  PetscCallA(DMCreateMatrix(cells, A, ierr))
  PetscCallA(DMCreateGlobalVector(cells, b, ierr))
  PetscCallA(VecDuplicate(b, u, ierr))
  PetscCallA(VecDuplicate(b, exact, ierr))
  PetscCallA(VecDuplicate(b, r, ierr))
  call assemble(cells, n, A, b, exact, ierr)

  PetscCallA(KSPCreate(PETSC_COMM_WORLD, ksp, ierr))
  PetscCallA(KSPSetDM(ksp, cells, ierr))
  PetscCallA(KSPSetDMActive(ksp, PETSC_FALSE, ierr))
  PetscCallA(KSPSetOperators(ksp, A, A, ierr))
  PetscCallA(KSPSetType(ksp, KSPCG, ierr))
  PetscCallA(KSPSetFromOptions(ksp, ierr))
  PetscCallA(KSPSolve(ksp, b, u, ierr))
  PetscCallA(KSPGetIterationNumber(ksp, iterations, ierr))

  PetscCallA(MatMult(A, u, r, ierr))
  PetscCallA(VecAYPX(r, -1.0d0, b, ierr))
  PetscCallA(VecNorm(r, NORM_2, residual, ierr))
  PetscCallA(VecAXPY(u, -1.0d0, exact, ierr))
  PetscCallA(VecNorm(u, NORM_INFINITY, error, ierr))
  call MPI_Comm_rank(PETSC_COMM_WORLD, rank, ierr)
  if (rank == 0) print '(a, i0, a, es9.2, a, es9.2)', 'iterations ', iterations, ', residual ', residual, ', error ', error

  PetscCallA(KSPDestroy(ksp, ierr))
  PetscCallA(VecDestroy(b, ierr))
  PetscCallA(VecDestroy(u, ierr))
  PetscCallA(VecDestroy(exact, ierr))
  PetscCallA(VecDestroy(r, ierr))
  PetscCallA(MatDestroy(A, ierr))
  PetscCallA(DMDestroy(cells, ierr))
  PetscCallA(PetscFinalize(ierr))

contains

  ! Weights of 1 between cells and of 2 to the sides, which are half a width away; the right-hand side is f times the cell's area.
  subroutine assemble(cells, n, A, b, exact, ierr)
    DM :: cells
    PetscInt, intent(in) :: n
    Mat :: A
    Vec :: b, exact
    PetscErrorCode :: ierr
    PetscInt :: i, j, s, first_i, first_j, count_i, count_j, columns
    PetscReal :: h, x, y, pi, u
    PetscScalar :: values(5)
    MatStencil :: row(4), column(4, 5)
    PetscScalar, pointer :: rhs(:, :), solution(:, :)
    integer, parameter :: step(2, 4) = reshape([-1, 0, 1, 0, 0, -1, 0, 1], [2, 4])

    pi = 4.0d0*atan(1.0d0)
    h = 1.0d0/n
    PetscCall(DMDAGetCorners(cells, first_i, first_j, PETSC_NULL_INTEGER, count_i, count_j, PETSC_NULL_INTEGER, ierr))
    PetscCall(DMDAVecGetArrayF90(cells, b, rhs, ierr))
    PetscCall(DMDAVecGetArrayF90(cells, exact, solution, ierr))
    do j = first_j, first_j + count_j - 1
      do i = first_i, first_i + count_i - 1
        x = (i + 0.5d0)*h
        y = (j + 0.5d0)*h
        u = sin(pi*x)*sin(2*pi*y)
        solution(i, j) = u
        rhs(i, j) = 5*pi**2*u*h**2
        row = 0
        row(MatStencil_i) = i
        row(MatStencil_j) = j
        column(:, 1) = row
        values(1) = 0
        columns = 1
        do s = 1, 4
          if (i + step(1, s) < 0 .or. i + step(1, s) >= n .or. j + step(2, s) < 0 .or. j + step(2, s) >= n) then
            values(1) = values(1) + 2
          else
            columns = columns + 1
            column(:, columns) = row
            column(MatStencil_i, columns) = i + step(1, s)
            column(MatStencil_j, columns) = j + step(2, s)
            values(columns) = -1
            values(1) = values(1) + 1
          end if
        end do
        PetscCall(MatSetValuesStencil(A, one, row, columns, column, values, INSERT_VALUES, ierr))
      end do
    end do
    PetscCall(DMDAVecRestoreArrayF90(cells, b, rhs, ierr))
    PetscCall(DMDAVecRestoreArrayF90(cells, exact, solution, ierr))
    PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY, ierr))
    PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY, ierr))
  end subroutine assemble

end program poisson
