// The path has no dot on purpose: nothing can ever fetch it from a network. `isolet deploy` supplies this directory.
module isolet

go 1.24
