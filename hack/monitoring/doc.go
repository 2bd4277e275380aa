// Package monitoring tests the alert rules and dashboards of config/monitoring against the metrics that operator, workers
// and servers serve, with Prometheus' own parser and engine. It is a module of its own, because those bring more with them
// than the program that they watch.
package monitoring
