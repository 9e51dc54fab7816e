"""isolet: functions compiled to WebAssembly, each invocation in a fresh isolate born from a snapshot."""
