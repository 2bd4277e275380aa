package postgres

import "syscall"

// setParentDeathSignal ends the server when we die without saying goodbye.
func setParentDeathSignal(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGINT }
