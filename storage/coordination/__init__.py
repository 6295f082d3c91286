"""State that processes and machines share: leases, circuit breakers, daily budgets."""
