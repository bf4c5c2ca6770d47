"""Model summary: shapes, parameters, multiply-adds and receptive fields, each with its formula."""
