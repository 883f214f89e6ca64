"""The front's child processes: starts, supervises and dispatches work to them."""
