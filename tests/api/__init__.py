"""The whole REST door against its own OpenAPI document: what it answers, and whom."""
