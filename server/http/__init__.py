"""HTTP: routes, bodies, streams, documents."""
