"""The doctor: what works is said to work, and what does not comes with advice instead of a traceback."""

from __future__ import annotations

import sys

import pytest

from deepcg.cli import doctor
from deepcg.io import model_file
from deepcg.native import library as native
from deepcg.preconditioners.registry import entry_of


def by_name(findings):
    return {check.name: check for checks in findings.values() for check in checks}


def test_core_works_here():
    checks = list(by_name(doctor.examine()).values())
    assert doctor.core_works(checks)
    assert all(check.detail for check in checks)
    assert all(check.advice for check in checks if not check.works)


@pytest.mark.parametrize("package", [name for name in doctor.PACKAGES if name not in ("numpy", "scipy", "petsc4py")])
def test_missing_package_is_optional_and_says_how_to_get_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, doctor.PACKAGES[package][0], None)
    check = doctor._package(package)
    assert not check.works
    assert "pip install 'deepcg[" in str(check)
    assert doctor.core_works([check])


def test_missing_torch_does_not_stop_the_rest(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    checks = by_name(doctor.examine())
    assert not checks["torch CPU"].works
    assert not checks["CUDA GPU"].works
    assert doctor.core_works(list(checks.values()))


def test_missing_kernels_are_named(monkeypatch):
    monkeypatch.setattr(native, "unavailable", "no such library")
    check = by_name(doctor.examine())["kernels"]
    assert not check.works
    assert "no such library" in check.detail
    assert "make build" in check.advice


@pytest.mark.parametrize("name", model_file.shipped())
def test_every_shipped_model_is_known_and_passes(name):
    lacking = entry_of(model_file.shipped()[name]).needs()
    check = by_name(doctor.examine())[name]
    assert check.works == (not lacking), check
    assert (lacking or "self-test passed") in check.detail


def test_a_model_whose_kernels_are_missing_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(native, "unavailable", "no such library")
    check = by_name(doctor.examine())["multilevel-3d"]
    assert not check.works
    assert "needs the compiled kernels: make build" in check.detail


def test_damaged_model_is_found(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    monkeypatch.setattr(model_file, "shipped", lambda: {"broken": tmp_path / "broken.safetensors"})
    check = by_name(doctor.examine())["broken"]
    assert not check.works
    assert "truncated" in check.detail


def test_core_fails_with_the_solver(monkeypatch):
    monkeypatch.setattr(doctor, "_solve", lambda: 1 / 0)
    assert not doctor.core_works(list(by_name(doctor.examine()).values()))


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("5,2", 5)])
def test_threads_follow_openmp(value, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert doctor.threads() == expected


@pytest.mark.parametrize("value", ["", "many", "0"])
def test_threads_without_a_usable_wish(value, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert doctor.threads() >= 1


def test_a_missing_plugin_for_petsc_is_told(monkeypatch, tmp_path):
    from deepcg.petsc import plugin

    monkeypatch.setattr(plugin, "LIBRARY", tmp_path / "libdeepcg_petsc.so")
    check = by_name(doctor.examine())["PETSc plugin"]
    assert not check.works
    assert "libdeepcg_petsc.so is not built" in check.detail and "make petsc" in check.advice
    assert doctor.core_works([check])
