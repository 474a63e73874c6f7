"""Why a registry does not answer, looked at step by step."""
