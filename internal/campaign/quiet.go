package campaign

import "errors"

const minutesOfWeek = 7 * minutesOfDay

// CheckQuiet tells what is wrong with windows in which nobody is written to. Its errors name the window and the mend.
func CheckQuiet(quiet []Window) error {
	var closed [minutesOfWeek]bool
	left := minutesOfWeek
	for _, w := range quiet {
		s, err := w.Parse()
		if err != nil {
			return err
		}
		for day := range s.Days {
			if !s.Days[day] {
				continue
			}
			for minute := s.From; minute < s.To; minute++ {
				if at := (day*minutesOfDay + minute) % minutesOfWeek; !closed[at] {
					closed[at] = true
					left--
				}
			}
		}
	}
	if left == 0 {
		return errors.New("the quiet hours leave no minute of the week to send in: shorten them")
	}
	return nil
}
