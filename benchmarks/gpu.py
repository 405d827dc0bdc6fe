"""`python -m benchmarks.gpu` is the study of `benchmarks.studies.gpu`: a machine with a GPU is told this one short command."""

from benchmarks.studies.gpu import main

if __name__ == "__main__":
    main()
