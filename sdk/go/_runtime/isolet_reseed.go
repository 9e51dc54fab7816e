// This file is compiled as part of Go's package runtime (go build -overlay), by `isolet deploy`.
//
// A snapshot freezes the runtime's generators, and they have no door from outside: math/rand cannot be seeded since Go 1.24,
// math/rand/v2 never could, and maps and hash/maphash draw from the same state. Refused: linkname into the runtime's
// variables, which would copy their layout and corrupt memory on the day it changes. Here the compiler checks the names.

//go:build wasip1

package runtime

import _ "unsafe" // for go:linkname

// The state is that of the only m that wasm has. globalRand, from which further ones would be seeded, stays as it is: three
// blocks of ChaCha8, which every invocation would pay for nothing.
//
//go:linkname isolet_reseed isolet.reseed
func isolet_reseed(seed *[32]byte) {
	m := getg().m
	m.chacha8.Init(*seed)
	random := rand()
	m.cheaprand, m.cheaprand64 = uint32(random), random
}
