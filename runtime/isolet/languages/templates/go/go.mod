module functions/@NAME@

go 1.24

require isolet v0.0.0

// For editors, as isolet is installed here; `isolet deploy` finds its own, wherever that is.
replace isolet => @SDK@
