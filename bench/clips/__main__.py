"""`python -m bench.clips demo|long|vfr|bench OUT.mp4`: make one test clip."""

from bench.clips.generate import main

if __name__ == "__main__":
    main()
