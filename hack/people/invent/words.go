package invent

// names are what the people of a language are called.
type names struct {
	first, last []string
	twoSurnames bool
}

var spanish = names{
	twoSurnames: true,
	first: []string{
		"Lucía", "Hugo", "Martina", "Mateo", "Sofía", "Leo", "Valeria", "Daniel", "Carmen", "Álvaro", "Inés", "Pablo", "Noa", "Adrián",
		"Elena", "Diego", "Irene", "Javier", "Alba", "Sergio", "Nuria", "Iker", "Aitana", "Rubén", "Begoña", "Óscar", "Marta", "Íñigo",
		"Rocío", "Andrés", "Pilar", "Joaquín", "Ainhoa", "Tomás", "Lola", "Gonzalo", "Miriam", "Ramón", "Teresa", "Víctor",
	},
	last: []string{
		"García", "Fernández", "Ibáñez", "Núñez", "Ruiz", "Ortega", "Serrano", "Molina", "Castro", "Vidal", "Romero", "Herrera", "Peña",
		"Cabrera", "Aguilar", "Vega", "Campos", "Reyes", "Prieto", "Calvo", "Gallego", "León", "Cano", "Bravo", "Arias", "Soler",
		"Etxeberria", "Agirre", "Puig", "Ferrer", "Otero", "Rivas", "Lozano", "Marín", "Sáez", "Quintana", "Zamora", "Del Río",
	},
}

var english = names{
	first: []string{
		"Olivia", "Jack", "Amelia", "Noah", "Isla", "Oliver", "Freya", "Arthur", "Grace", "Harry", "Maeve", "Cian", "Niamh", "Ewan",
		"Chloe", "Callum", "Eilidh", "Rhys", "Megan", "Theo", "Hannah", "Dylan", "Priya", "Arjun", "Zara", "Kofi", "Ruth", "Owen",
		"Beth", "Finlay", "Imogen", "Louis", "Nora", "Toby", "Alice", "Max", "Eve", "Samuel", "Joan", "Miles",
	},
	last: []string{
		"Walker", "Hughes", "Patel", "Murphy", "O'Connor", "Campbell", "Fraser", "Bennett", "Carter", "Shaw", "Price", "Doyle", "Byrne",
		"Kaur", "Osei", "Marsh", "Holt", "Barker", "Stone", "Wells", "Pryce-Jones", "MacLeod", "Webb", "Frost", "Lane", "Hart",
		"Dunn", "Reid", "Okafor", "Blake", "Nash", "Quinn", "Thorne", "Ashby", "Farrow", "Kerr", "Lowe", "Hayes",
	},
}

// mailDomains are reserved for examples (RFC 2606): mail to them reaches nobody.
var mailDomains = []string{"example.com", "example.org", "example.net", "correo.example", "mail.example", "bici.example"}

type home struct{ city, country, timeZone, locale string }

// homes repeat a city to make it likelier.
var homes = []home{
	{"Madrid", "ES", "Europe/Madrid", "es"},
	{"Madrid", "ES", "Europe/Madrid", "es"},
	{"Madrid", "ES", "Europe/Madrid", "es"},
	{"Barcelona", "ES", "Europe/Madrid", "es"},
	{"Barcelona", "ES", "Europe/Madrid", "es"},
	{"Valencia", "ES", "Europe/Madrid", "es"},
	{"Sevilla", "ES", "Europe/Madrid", "es"},
	{"Bilbao", "ES", "Europe/Madrid", "es"},
	{"Girona", "ES", "Europe/Madrid", "es"},
	{"Zaragoza", "ES", "Europe/Madrid", "es"},
	{"A Coruña", "ES", "Europe/Madrid", "es"},
	{"Las Palmas", "ES", "Atlantic/Canary", "es"},
	{"Ciudad de México", "MX", "America/Mexico_City", "es-MX"},
	{"Bogotá", "CO", "America/Bogota", "es-CO"},
	{"London", "GB", "Europe/London", "en-GB"},
	{"London", "GB", "Europe/London", "en-GB"},
	{"Manchester", "GB", "Europe/London", "en-GB"},
	{"Edinburgh", "GB", "Europe/London", "en-GB"},
	{"Dublin", "IE", "Europe/Dublin", "en-IE"},
	{"Boulder", "US", "America/Denver", "en-US"},
}

type article struct {
	sku   string
	cents int64
}

// smallArticles is how many articles, from the start of the catalogue, people add to an order.
const smallArticles = 4

var catalogue = []article{
	{"socks-merino", 1490},
	{"cap-classic", 2200},
	{"gloves-mitt", 2990},
	{"arm-warmers", 3450},
	{"jersey-pedraza", 7900},
	{"jersey-race", 10900},
	{"bib-angliru", 12900},
	{"bib-monegros", 12900},
	{"gilet-somport", 8900},
	{"jacket-navacerrada", 18900},
	{"base-layer", 4990},
	{"overshoes", 5490},
}

var pages = []string{"home", "jerseys", "bibs", "jackets", "accessories", "sale", "size-guide", "club", "blog"}
