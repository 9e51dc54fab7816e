// A package with an assembly file may declare functions without a body: host_wasip1.go's reseed.
