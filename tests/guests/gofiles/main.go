// What a Go program does with its library: files, directories, time, environment, randomness. It prints what it saw; the
// test compares. Not linked with any SDK: only Go's wasip1 runtime between it and the host.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"
)

var (
	buffer      [65536]byte
	outcome     = []byte{0x81, 0xa2, 'o', 'k', 0xc0}
	initialised = os.Getenv("AWS_LAMBDA_FUNCTION_NAME")
	began       = time.Now()
)

func main() {}

//go:wasmexport isolet_buffer
func isoletBuffer(length uint32) unsafe.Pointer { return unsafe.Pointer(&buffer[0]) }

//go:wasmexport isolet_handle
func isoletHandle(ptr, length uint32) uint64 {
	fmt.Println("initialised", initialised, "colour", os.Getenv("COLOUR"), "args", os.Args)
	files()
	times()
	one, two := make([]byte, 16), make([]byte, 16)
	rand.Read(one)
	rand.Read(two)
	fmt.Println("random", string(one) != string(two))
	_, err := io.ReadAll(os.Stdin)
	fmt.Println("stdin", err)
	fmt.Fprintln(os.Stderr, "to stderr")
	fmt.Print("no newline at the end")
	return uint64(uintptr(unsafe.Pointer(&outcome[0])))<<32 | uint64(len(outcome))
}

func files() {
	data, err := os.ReadFile("/var/task/data/greeting.txt")
	fmt.Printf("package: %q %v\n", data, err)
	data, err = os.ReadFile("data/greeting.txt")
	fmt.Printf("relative: %q %v\n", data, err)
	fmt.Println("write to the package:", os.WriteFile("/var/task/data/greeting.txt", data, 0o600))
	_, err = os.ReadFile("/etc/passwd")
	fmt.Println("outside:", errors.Is(err, fs.ErrNotExist))
	_, err = os.ReadFile("/var/task")
	fmt.Println("a directory:", err)

	text := strings.Repeat("twelve bytes", 1_000_000)
	fmt.Println("write:", os.WriteFile("/tmp/large", []byte(text), 0o600))
	data, err = os.ReadFile("/tmp/large")
	fmt.Println("read back:", string(data) == text, err)

	fmt.Println("mkdir:", os.MkdirAll("/tmp/a/b/c", 0o700))
	fmt.Println("rename:", os.Rename("/tmp/large", "/tmp/a/b/moved"))
	status, err := os.Stat("/tmp/a/b/moved")
	fmt.Println("stat:", status.Size(), status.IsDir(), status.Mode(), time.Since(status.ModTime()) < 100*time.Second, err)
	stamp := time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)
	fmt.Println("times:", os.Chtimes("/tmp/a/b/moved", stamp, stamp))
	status, _ = os.Stat("/tmp/a/b/moved")
	fmt.Println("modified:", status.ModTime().UTC())
	file, err := os.OpenFile("/tmp/a/b/moved", os.O_RDWR|os.O_APPEND, 0)
	fmt.Println("append:", err)
	file.Truncate(3)
	file.WriteString("!")
	position, err := file.Seek(0, io.SeekStart)
	data, _ = io.ReadAll(file)
	fmt.Printf("now: %d %q %v\n", position, data, err)
	fmt.Println("close:", file.Close(), file.Close() != nil)
	fmt.Println("symlink:", os.Symlink("/tmp/a", "/tmp/link") != nil)

	for i := range 300 {
		name := fmt.Sprintf("/tmp/a/file-with-a-longish-name-%03d", i)
		if err := os.WriteFile(name, []byte{byte(i)}, 0o600); err != nil {
			fmt.Println(name, err)
		}
	}
	entries, err := os.ReadDir("/tmp/a")
	fmt.Println("readdir:", len(entries), entries[0].IsDir(), entries[300].Name(), err)
	walked := 0
	filepath.WalkDir("/var/task", func(path string, entry fs.DirEntry, err error) error { walked++; return err })
	fmt.Println("walked:", walked)
	fmt.Println("remove:", os.RemoveAll("/tmp/a"))
	entries, err = os.ReadDir("/tmp")
	fmt.Println("left:", len(entries), err)
	temporary, err := os.MkdirTemp("", "x")
	fmt.Println("temporary:", strings.HasPrefix(temporary, "/tmp/x"), err)
	_, err = os.ReadDir("/none")
	fmt.Println("none:", errors.Is(err, fs.ErrNotExist))
}

func times() {
	before := time.Now()
	fmt.Println("later than initialisation:", before.After(began))
	time.Sleep(20 * time.Millisecond)
	fmt.Println("slept long enough:", time.Since(before) >= 20*time.Millisecond)
	ticks := make(chan int)
	go func() {
		for i := range 3 {
			time.Sleep(time.Millisecond)
			ticks <- i
		}
		close(ticks)
	}()
	for tick := range ticks {
		fmt.Println("tick", tick)
	}
	select {
	case <-time.After(5 * time.Millisecond):
		fmt.Println("timed out")
	case <-make(chan int):
	}
	fmt.Println("zone", time.Now().Location(), time.Now().Year() >= 2020)
}
