package conversation

// phrases are what people of one language say. In a core {b} is the brand, {o} another one, {p} a product with its article, {c} a town,
// {n} a number and {km} a distance.
type phrases struct {
	about    map[Mood][]string
	crisis   []string // complaints of those who were charged twice
	rumour   []string // of those who have heard of it
	answers  []string // of other people
	help     []string // of the shop
	other    []string // what is about none of the brands
	products []string
	openers  []string
	closers  []string
}

func phrasesOf(language string) *phrases {
	if language == "en" {
		return &english
	}
	return &spanish
}

var cities = []string{
	"Madrid", "Girona", "Sevilla", "Bilbao", "Valencia", "Granada", "Bogotá", "Rosario", "Leeds", "Bristol", "Cork", "Guadalajara", "Zaragoza", "Lugo",
}

var spanish = phrases{
	products: []string{
		"el maillot Sierra", "el culote Angliru", "la chaqueta Cierzo", "el chaleco Bruma", "la camiseta térmica Alba", "el casco Faro", "la gorra Lluvia",
		"el chubasquero Norte", "la bolsa de manillar Ruta", "la luz trasera Brasa",
	},
	openers: []string{"Buenas.", "Hilo:", "A ver,", "Pregunta:", "Domingo de bici.", "Uf.", "Oye,", "Nota mental:", "Confirmado:"},
	closers: []string{
		"#VeloCiclismo", "#bici", "#ciclismo", "🚴", "#gravel", "Eso es todo.", "Lo dejo aquí.", "#salidaendomingo", "🚲", "@velo.example", "Ya os contaré.",
	},
	about: map[Mood][]string{
		Negative: {
			"mi pedido de {b} no llega y nadie responde, {n} días esperando {p}. Un desastre",
			"qué decepción con {b}: {p} se rompe a la segunda salida en bici",
			"{p} de {b} me ha durado {n} semanas. Una calidad pésima para ese precio",
			"pésima atención al cliente en {b}, llevo {n} días reclamando por {p} y sin respuesta",
			"{b} me manda {p} en otra talla y el cambio es una pesadilla",
			"no vuelvo a comprar en {b}, la cremallera es malísima",
			"genial, otra vez {b} sin {p} que pagué hace {n} días 🙄",
			"horrible la web de {b}, se cuelga al pagar {p}",
			"estoy harta de {b}, tercera reclamación por {p} y nada",
			"devolver {p} a {b} es un infierno. Qué mal",
			"muy mal {b}: {p} llegó con una costura rota",
			"{p} de {b} destiñe al primer lavado, una vergüenza",
			"me arrepiento de haber comprado {p} en {b}, incómodo y caro",
			"{b} cancela mi pedido sin avisar. Fatal, de verdad",
			"odio el culote nuevo de {b}, me hace daño a los {km} km",
		},
		Neutral: {
			"¿alguien sabe si {p} de {b} talla grande?",
			"salida en bici con {p} de {b} por {c}, {km} km",
			"{b} abre tienda en {c} el mes que viene",
			"comparando {p} de {b} con lo que vende {o}",
			"¿{b} hace envíos a {c}?",
			"rodaje con el grupo de {b} por {c}, {km} km",
			"he visto {p} de {b} en un escaparate de {c}",
			"¿qué talla lleváis en {p} de {b}? Mido 1,75",
			"¿cuándo llega {p} de {b} a las tiendas de {c}?",
			"{n} kilómetros de bici hasta la tienda de {b} de {c}",
			"dudo entre {p} de {b} y otra marca para la bici de diario",
			"¿alguien de {c} con {p} de {b} para salir en bici el sábado?",
			"la colección de invierno de {b} sale el día {n}",
			"el catálogo de {b} tiene {n} páginas de {p}",
		},
		Positive: {
			"me encanta {p} de {b}, en la bici ni me entero de que hace frío",
			"{p} de {b} es una maravilla, {km} km y como el primer día",
			"gracias {b}, el cambio de talla en {n} días. Así da gusto",
			"estreno {p} de {b} por {c}, qué gozada 😍",
			"muy buena atención de {b}, resolvieron lo de {p} enseguida",
			"recomiendo {b} a quien salga en bici: buena calidad y buen precio",
			"qué bien sienta {p} de {b}, feliz con la compra",
			"el mejor regalo de este año, {p} de {b}. ¡Mil gracias!",
			"excelente {p} de {b}, muy cómodo y bonito",
			"enamorada de {p} de {b} 💚",
			"{b} nunca falla, envío rapidísimo a {c}",
			"perfecto {p} de {b} para las mañanas de bici en {c}",
			"increíble lo bien que abriga {p} de {b}",
			"otra vez {b} y otra vez genial, {p} es un acierto",
		},
	},
	crisis: []string{
		"{b} me ha cobrado dos veces el mismo pedido. Qué estafa",
		"ojo con {b}: doble cobro en la tarjeta y nadie contesta, fatal",
		"a mí también {b} me ha cobrado dos veces, estoy indignada",
		"dos cargos de {b} en mi cuenta por un solo pedido de {p}. Vergonzoso",
		"{b}, devolvedme el doble cobro ya. Qué vergüenza",
		"cobrado dos veces en la tienda de {b} y no cogen el teléfono, un desastre",
		"doble cobro de {b} y el banco dice que reclame. Muy mal",
		"{n} llamadas a {b} por el doble cobro de {p}, pésimo servicio",
		"me quedo sin dinero por el doble cobro de {b}, estoy furiosa 😡",
		"estafa de {b}: pedido cobrado dos veces y sin respuesta",
	},
	rumour: []string{
		"¿a alguien más le ha cobrado {b} dos veces?", "dicen que {b} está cobrando dos veces los pedidos de hoy",
		"¿sabéis algo del doble cobro de {b}?", "{b} dice que mira lo del doble cobro de los pedidos",
	},
	answers: []string{
		"¿Y qué te dijeron?", "A mí me pasó lo mismo el mes pasado.", "Cuéntanos cuando sepas algo.", "Yo también lo tengo.", "¿De qué color?",
		"Te escribo por privado.",
		"En mi grupo llevamos varios.", "¿Qué precio tiene?", "Buena pregunta.", "Mira en la web.",
	},
	help: []string{
		"Hola, escríbenos por privado con tu número de pedido y lo miramos hoy.", "Hola, lo pasamos al equipo y te contamos.",
		"Hola, ya hemos visto tu pedido, te escribimos por privado.",
	},
	other: []string{
		"hoy toca lentejas", "¿alguien tiene una receta de croquetas?", "corramos un tupido velo sobre el partido de ayer",
		"mi hermana busca velo de novia en {c}",
		"{km} páginas y sigo sin saber quién es el asesino", "lluvia en {c} desde las {n}", "se me ha olvidado el paraguas", "café número {n}",
		"concierto esta noche en {c}", "el autobús de {c} va con retraso", "¿qué serie veis ahora?", "mi gato duerme sobre el teclado",
		"fin de semana en {c}", "bici de paseo y siesta en {c}", "el examen es el día {n}", "he plantado tomates en el balcón",
	},
}

var english = phrases{
	products: []string{
		"the Sierra jersey", "the Angliru bib shorts", "the Cierzo jacket", "the Bruma gilet", "the Alba base layer", "the Faro helmet", "the Lluvia cap",
		"the Norte rain shell", "the Ruta handlebar bag", "the Brasa rear light",
	},
	openers: []string{"Hi all.", "Thread:", "Question:", "Sunday ride.", "Ugh.", "So,", "Note to self:", "Update:"},
	closers: []string{
		"#VeloCiclismo", "#cycling", "#bike", "🚴", "#gravel", "That is all.", "Just saying.", "🚲", "@velo.example", "Will report back.",
	},
	about: map[Mood][]string{
		Negative: {
			"my {b} order never arrived and nobody answers, {n} days waiting for {p}. Terrible",
			"so disappointed with {b}, {p} broke on the second bike ride",
			"{p} from {b} lasted {n} weeks. Awful quality for the price",
			"worst customer service ever at {b}, {n} days and still no reply about {p}",
			"{b} sent {p} in the wrong size and the exchange is a nightmare",
			"never buying from {b} again, the zip is useless",
			"great, {b} out of stock of {p} I paid for {n} days ago 🙄",
			"the {b} checkout is horrible, it crashes when I pay for {p}",
			"I am fed up with {b}, third complaint about {p} and nothing",
			"returning {p} to {b} is a pain, really bad",
			"{p} by {b} arrived with a torn seam, not happy",
			"I regret buying {p} from {b}, uncomfortable and overpriced",
			"{b} cancelled my order without a word. Pathetic",
			"I hate the new shorts from {b}, they hurt after {km} km on the bike",
		},
		Neutral: {
			"does anyone know if {p} by {b} runs large?",
			"bike ride in {p} from {b} around {c}, {km} km",
			"{b} opens a shop in {c} next month",
			"comparing {p} by {b} with the one from {o}",
			"does {b} ship to {c}?",
			"group ride with {b} from {c}, {km} km",
			"saw {p} by {b} in a shop window in {c}",
			"what size do you wear in {p} by {b}? I am 175 cm",
			"when is {p} by {b} in the shops in {c}?",
			"choosing between {p} by {b} and another brand for my commuter bike",
			"the winter collection of {b} is out in {n} days",
			"anyone in {c} with {p} by {b} for a bike ride on Saturday?",
		},
		Positive: {
			"I love {p} by {b}, warm and comfortable on the bike",
			"{p} from {b} is amazing, {km} km and like new",
			"thank you {b}, size exchanged in {n} days. Brilliant",
			"first ride in {p} by {b} around {c}, so happy 😍",
			"great customer service at {b}, they sorted {p} at once",
			"I recommend {b} to anyone who rides a bike: good quality, good price",
			"{p} from {b} fits perfectly, really pleased",
			"best present this year, {p} from {b}. Thanks so much!",
			"excellent {p} by {b}, beautiful and comfortable",
			"in love with {p} from {b} 💚",
			"{b} never disappoints, super fast delivery to {c}",
			"perfect: {p} by {b} for cold bike mornings in {c}",
			"impressed with how warm {p} by {b} is, well done",
		},
	},
	crisis: []string{
		"{b} charged me twice for the same order. What a scam",
		"careful with {b}: charged twice and nobody answers, awful",
		"me too, {b} charged me twice. I am furious",
		"two charges from {b} on my card for one order of {p}. Disgraceful",
		"{b}, refund the double charge now. Shame on you",
		"charged twice in the {b} shop and they do not pick up the phone, a disaster",
		"double charge by {b} and my bank says I should complain. Really bad",
		"{n} calls to {b} about the double charge for {p}, terrible service",
		"{b} double charge left me without money, I am angry 😡",
	},
	rumour: []string{
		"has {b} charged anyone else twice?", "they say {b} is charging orders twice today", "does anybody know about the double charge at {b}?",
		"{b} says they are looking into the double charge",
	},
	answers: []string{
		"What did they say?", "Same here last month.", "Tell us when you know.", "I have that one too.", "Which colour?", "Sent you a message.",
		"A few of us in the club have it.", "How much is it?", "Have a look at their page.",
	},
	help: []string{
		"Hi, send us your order number in a message and we will look at it today.", "Hi, we have passed it on and will write to you.",
		"Hi, we have found your order and have sent you a message.",
	},
	other: []string{
		"soup for lunch", "does anybody have a recipe for scones?", "{km} pages in and I still do not know who did it", "rain in {c} since {n}",
		"forgot my umbrella",
		"coffee number {n}", "concert tonight in {c}", "the bus in {c} is late", "what are you all watching?", "my cat sleeps on the keyboard",
		"weekend in {c}",
		"a bike ride and a nap in {c}", "the exam is in {n} days", "planted tomatoes on the balcony", "train to {c} at {n}",
	},
}
