"""The pages. Thin: they ask the policy, call one verb, and render."""
