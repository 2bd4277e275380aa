package segment

import "slices"

// Change is what was noted about some contacts: something that is watched, by its number.
type Change struct {
	Watch    int32
	Contacts []int64
}

// Dependent is a segment that depends on what changed.
type Dependent struct {
	Evaluation
	Changes []int32 // the watches that it depends on, of data
	Times   []int32 // and of time
}

// Task is the evaluation of contacts for a segment, for one reason.
type Task struct {
	Segment  Evaluation
	Reason   Reason
	Contacts []int64 // each once, sorted
}

// PlanTasks decides who is evaluated for which segments, and why. Whom both a change and time concern is evaluated for the
// change: rolling audiences follow both alike, and a person is told of the one that somebody caused.
func PlanTasks(changes []Change, dependents []Dependent) []Task {
	byWatch := make(map[int32][]int64, len(changes))
	for _, c := range changes {
		byWatch[c.Watch] = append(byWatch[c.Watch], c.Contacts...)
	}
	var tasks []Task
	for _, d := range dependents {
		changed := gather(byWatch, d.Changes)
		if len(changed) > 0 {
			tasks = append(tasks, Task{d.Evaluation, Data, changed})
		}
		crossed := slices.DeleteFunc(gather(byWatch, d.Times), func(id int64) bool {
			_, found := slices.BinarySearch(changed, id)
			return found
		})
		if len(crossed) > 0 {
			tasks = append(tasks, Task{d.Evaluation, Time, crossed})
		}
	}
	return tasks
}

// gather lists the contacts of some watches, each once, sorted.
func gather(byWatch map[int32][]int64, watches []int32) []int64 {
	var all []int64
	for _, w := range watches {
		all = append(all, byWatch[w]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
