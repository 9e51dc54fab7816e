module counter

go 1.24

require isolet v0.0.0

// For editors; `isolet deploy` brings its own.
replace isolet => ../../../sdk/go
