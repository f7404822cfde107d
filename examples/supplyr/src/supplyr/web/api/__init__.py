"""The API: JSON in and out, described by OpenAPI at /api/v1/openapi.json."""
