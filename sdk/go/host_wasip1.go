package isolet

import "unsafe"

//go:wasmimport isolet call
func importCall(ptr unsafe.Pointer, length uint32) int32

//go:wasmimport isolet take
func importTake(ptr unsafe.Pointer) int32

//go:wasmimport isolet log
func importLog(level uint32, ptr unsafe.Pointer, length uint32)

// Both stay reachable, or the collector would take what the host still reads or writes. An input is written once: the host
// asks for a new one after a warm-up (abi.md 1.1), so strings of the event may point into it.
var input, output []byte

//go:wasmexport isolet_buffer
func exportBuffer(length uint32) unsafe.Pointer {
	input = make([]byte, max(length, 1))
	return unsafe.Pointer(&input[0])
}

//go:wasmexport isolet_handle
func exportHandle(ptr uint32, length uint32) uint64 {
	output = outcome(unsafe.Slice((*byte)(unsafe.Pointer(&input[0])), length))
	return uint64(uintptr(unsafe.Pointer(&output[0])))<<32 | uint64(len(output))
}

func hostCall(request []byte) ([]byte, int) {
	length := importCall(unsafe.Pointer(&request[0]), uint32(len(request)))
	if length < 0 {
		return nil, int(length)
	}
	reply := make([]byte, length+1)
	if status := importTake(unsafe.Pointer(&reply[0])); status < 0 {
		return nil, int(status)
	}
	return reply[:length], 0
}

func hostLog(level Level, message string) {
	importLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

// reseed gives Go's runtime a new seed: it is what math/rand, maps and hash/maphash draw from, and a snapshot froze it. It
// lives in package runtime, where `isolet deploy` adds _runtime/isolet_reseed.go of this directory.
func reseed(seed *[32]byte)

func reseedAll(entropy []byte) {
	var seed [32]byte
	copy(seed[:], entropy)
	reseed(&seed)
}
