package store

// HasRuntimeAccess tells whether somebody decided what the runtime role may do with a table.
func HasRuntimeAccess(table string) bool {
	_, ok := runtimeAccess[table]
	return ok
}
