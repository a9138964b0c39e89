//go:build !linux

package exec

import "syscall"

// attributes has the program lead a process group.
func attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// adoptOrphans does nothing: elsewhere orphans belong to process 1.
func adoptOrphans() (end func()) { return func() {} }
