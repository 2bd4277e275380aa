package pin
