//go:build wasip1 && !isolet_runtime

package isolet

// A function built without _runtime/isolet_reseed.go would draw the same "random" numbers in every invocation.
var _ = build_this_module_with_isolet_deploy
