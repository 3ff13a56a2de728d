#include "verify/prompt_texts.h"

namespace merope {
namespace {

// clang-format off
constexpr Passage kProse[] = {
  {"en", "The keeper of the northern lighthouse kept two diaries. In the first he wrote down the weather, the ships and the oil; in the second, which nobody read until the roof was repaired, he argued with the wind about philosophy, and usually lost."},
  {"en", "A suspension bridge is never still. Every lorry that crosses it sends a slow wave along the deck, and the cables answer by shifting a few millimetres over the towers. Engineers measure that movement for years before they worry about it."},
  {"en", "Bread dough that has rested overnight in a cold room rises more slowly but tastes better. The yeast is nearly asleep, while bacteria go on making small amounts of acid, so the crumb keeps for days and the crust turns a deep chestnut brown."},
  {"en", "When the orchestra moved into the old tram depot, nobody expected the acoustics to be any good. The brick vaults, however, scattered the sound so evenly that the percussion section had to learn to play more quietly than ever before."},
  {"en", "Honeybees return from a good meadow and dance on the comb. The angle of the dance gives the direction relative to the sun, and its length the distance; a forager that has watched three rounds flies there almost without searching."},
  {"en", "Our village library lends tools as well as books. On Saturdays there is a queue for the hedge trimmer, and a waiting list of eleven families for the only tile cutter, which has spent more nights in strange bathrooms than any plumber."},
  {"en", "Tide tables are built from sums of cosines, one for each motion of the moon and the sun that matters at the harbour. Thirty-seven of them suffice for most ports; a storm surge, of course, obeys none of them."},
  {"en", "The committee met four times and agreed on nothing except the biscuits. At the fifth meeting the secretary read aloud a list of what each member had conceded without noticing, and to general surprise the plan was finished before noon."},
  {"en", "Glaciers carry stones the way a slow conveyor belt carries parcels. Where the ice melts it drops whatever it holds, and the ridges left behind let geologists draw the outline of a glacier that vanished twelve thousand years ago."},
  {"en", "To repair a mechanical watch you need patience, a loupe, and a clean bench. The smallest screws are shorter than a grain of rice; one sneeze at the wrong moment can cost an afternoon on hands and knees with a magnet."},
  {"en", "The patient reported mild pain in the left knee after long walks. There was no swelling, the range of motion was normal, and the X-ray showed no change from last year; she was advised to rest for two weeks and to return if it got worse."},
  {"en", "Quarterly revenue rose by 4.2% to 318 million, mainly because two delayed orders were delivered in March. Without them it would have fallen slightly. The board expects the second half to be flat and has frozen hiring until September."},
  {"fr", "Chaque matin, avant l'ouverture du marché, la fromagère goûte un morceau de chaque meule. Elle dit reconnaître au nez l'herbe de juin et le foin de janvier ; ses clients, eux, font surtout confiance à son sourire."},
  {"fr", "Le train de nuit s'arrêta sans raison au milieu des vignes. Pendant vingt minutes, on n'entendit que les grillons et un enfant qui comptait les étoiles à voix haute ; puis le convoi repartit, et personne ne protesta."},
  {"fr", "La restauration du vitrail a duré trois ans. Il a fallu nettoyer mille deux cents pièces de verre, en remplacer quarante, et refaire les plombs selon la méthode du treizième siècle, retrouvée dans un cahier d'atelier."},
  {"fr", "Selon la municipalité, la nouvelle piste cyclable a réduit d'un tiers le nombre d'accidents sur le boulevard. Les commerçants, d'abord hostiles, constatent qu'ils reçoivent autant de visiteurs qu'avant, mais à d'autres heures."},
  {"de", "Im Keller des Museums lagern dreitausend Uhren, von denen keine geht. Der Restaurator behauptet, er höre trotzdem, wenn eine fehlt; die Direktorin hat ihn einmal auf die Probe gestellt und seitdem nicht mehr gelacht."},
  {"de", "Wer im Frühjahr über die Heide wandert, sieht zuerst nur braunes Kraut. Bückt man sich aber, so findet man winzige Trichter im Sand, in denen Ameisenlöwen geduldig auf ihre Beute warten, oft tagelang und ganz ohne Regung."},
  {"de", "Die Stadtwerke erneuern bis Oktober die Wasserleitungen in der Gartenstraße. Während der Arbeiten kann es zwischen neun und elf Uhr zu Unterbrechungen kommen; Anwohner werden gebeten, vorher einige Eimer Wasser abzufüllen."},
  {"de", "Mein Großvater pflanzte Apfelbäume, deren Früchte er nie essen würde. Auf die Frage, warum er das tue, zeigte er auf die alten Bäume am Weg und sagte, die habe auch jemand gepflanzt, der ihn nicht gekannt habe."},
  {"es", "En el taller de mi tía las guitarras cuelgan del techo como jamones. Ella golpea cada tapa con un nudillo, escucha con los ojos cerrados y decide si la madera ya está lista o si debe esperar otro invierno."},
  {"es", "La estación meteorológica del puerto registró ayer la noche más cálida desde 1964. A las tres de la madrugada el termómetro marcaba veintiocho grados, y los vecinos bajaron con sus sillas a la plaza para buscar un poco de brisa."},
  {"es", "Nadie sabe quién dibujó el mapa que apareció detrás del armario. Los ríos corren hacia el norte, las montañas llevan nombres de mujer y, en una esquina, alguien escribió con letra muy pequeña: todavía no hemos llegado."},
  {"es", "El equipo local ganó por la mínima gracias a un gol en el último minuto. El entrenador reconoció que habían jugado peor que su rival, pero añadió que la temporada es larga y que la suerte también se entrena."},
  {"it", "Il fornaio del paese accende il forno alle due di notte e spegne la luce, perché dice che il pane si guarda meglio al buio. Alle sei la piazza profuma di crosta, e il primo cliente è sempre lo stesso cane giallo."},
  {"it", "La biblioteca ha acquistato il diario di una maestra che insegnò in montagna per quarant'anni. Tra una lezione e l'altra annotava la neve, le nascite e i prezzi delle patate, con una grafia minuta e senza cancellature."},
  {"it", "Per attraversare la laguna bisogna conoscere i canali nascosti sotto l'acqua bassa. I pescatori li segnano con pali di legno, ma dopo ogni tempesta qualcuno sparisce, e la rotta si impara di nuovo da capo."},
  {"it", "Il telescopio più grande dell'osservatorio fu costruito con lo specchio di un faro dismesso. Non è perfetto, però mostra benissimo gli anelli di Saturno, e nelle sere limpide i bambini fanno la fila fino al cancello."},
  {"pt", "O velho elétrico sobe a colina a gemer em cada curva, como se contasse a idade. Os turistas fotografam a paisagem; as senhoras da terceira paragem, sentadas sempre nos mesmos lugares, trocam receitas e notícias do bairro."},
  {"pt", "Depois da cheia, os moradores encontraram peixes no campo de futebol. A associação organizou um mutirão, limpou as salas da escola em dois dias e pintou na parede uma linha azul para lembrar a altura da água."},
  {"pt", "A cooperativa produz café em altitudes acima de mil metros. Os grãos secam ao sol durante três semanas, são virados à mão várias vezes por dia e só seguem viagem quando a humidade desce abaixo de doze por cento."},
  {"nl", "Achter de dijk staat een kleine sterrenwacht die vroeger een watertoren was. Op heldere avonden legt de vrijwilliger uit welke planeten te zien zijn, en bij bewolking vertelt hij met evenveel plezier waarom er niets te zien is."},
  {"nl", "De fietsenmaker op de hoek repareert alles, behalve haast. Wie zijn fiets voor vijf uur terug wil, krijgt koffie en een stoel; wie tot morgen kan wachten, krijgt een nieuwe ketting voor de prijs van een oude."},
  {"nl", "Sinds de gemeente de bermen minder vaak maait, groeien er weer klaprozen, margrieten en wilde peen. Onderzoekers telden vorig jaar drieënzestig soorten bijen, twee keer zoveel als vijf jaar geleden."},
  {"pl", "Na strychu starej szkoły znaleziono skrzynię z listami, których nikt nigdy nie wysłał. Dyrektorka przeczytała kilka z nich na głos podczas uroczystości, a potem długo nikt nie wiedział, czy wypada klaskać."},
  {"pl", "Wiosną rzeka wylewa na łąki i przez trzy tygodnie bociany brodzą tam, gdzie latem pasą się krowy. Gospodarze nie narzekają, bo woda zostawia żyzny muł, a trawa rośnie potem gęsta i wysoka."},
  {"pl", "Pociąg do Krakowa odjedzie dziś z peronu czwartego z opóźnieniem około dwudziestu minut. Podróżnych prosimy o zachowanie biletów, ponieważ będą one ważne także w kolejnym pociągu tej samej linii."},
  {"sv", "När isen lägger sig på sjön går byborna ut och lyssnar. En klar, hög ton betyder att den håller att gå på; ett dovt mummel betyder att man ska vänta, även om kylan har varat i flera veckor."},
  {"sv", "Snickaren bygger båtar utan ritningar. Han mäter med handen, ögat och ett snöre med tre knutar, och ändå blir den ena sidan så lik den andra att lantmätaren trodde att han skämtade."},
  {"sv", "Kommunen planerar en ny förskola vid parken med plats för åttio barn. Byggstarten är satt till augusti, men grannarna vill först veta hur trafiken ska ledas om under de två åren."},
  {"tr", "Kasabanın saatçisi, onardığı her saatin içine küçük bir not bırakırdı. Yıllar sonra bir müze bu notları topladığında, hepsinin birbirini izleyen cümlelerden oluşan tek bir hikâye olduğu anlaşıldı."},
  {"tr", "Sabah vapuru sisten dolayı yarım saat geç kalktı. Yolcular çay içip martılara simit atarken, kaptan köprüden çıkıp herkese tek tek günaydın dedi ve kimse gecikmeden şikâyet etmedi."},
  {"tr", "Zeytin ağaçları yavaş büyür ama çok uzun yaşar. Köyün girişindeki ağacın sekiz yüz yaşında olduğu söylenir; gövdesi oyulmuş, dalları eğilmiştir, yine de her sonbahar iki çuval meyve verir."},
  {"ru", "Старый мост через реку закрыли на ремонт, и жители снова вспомнили про паром. Паромщик, которого все считали пенсионером, вышел на берег в парадной фуражке и объявил, что билеты стоят столько же, сколько в прошлом веке."},
  {"ru", "Зимой в деревне рано темнеет, и соседи собираются у того, кто первым растопил печь. Разговор идёт о погоде, о ценах на дрова и о том, куда пропала рыжая кошка, хотя она лежит тут же, на лавке."},
  {"ru", "Учёные выяснили, что деревья на склоне растут быстрее, чем в долине, хотя света там меньше. Причиной оказался тёплый воздух: ночью он поднимается вверх, и почва наверху почти никогда не промерзает."},
  {"ru", "Библиотека получила в дар собрание карт, составленных путешественником по памяти. Некоторые реки на них текут не туда, зато расстояния между постоялыми дворами указаны с точностью до сотни шагов."},
  {"el", "Ο γέρος ψαράς επισκευάζει τα δίχτυα του κάθε απόγευμα μπροστά στο καφενείο. Τα παιδιά τον ρωτούν πόσα ψάρια έπιασε, κι εκείνος απαντά πάντα με τον ίδιο αριθμό, γιατί έτσι κανείς δεν στενοχωριέται."},
  {"el", "Το καλοκαίρι το νησί γεμίζει επισκέπτες, αλλά τον χειμώνα μένουν εκεί μόνο τριάντα οικογένειες. Το σχολείο έχει επτά μαθητές, δύο δασκάλους και τη μεγαλύτερη βιβλιοθήκη της περιοχής."},
  {"ar", "في السوق القديم دكان صغير يبيع الأقلام والحبر فقط. يقول صاحبه إن الكتابة باليد تعلّم الصبر، وإن من يكتب رسالة واحدة كل أسبوع يعرف نفسه أكثر ممن يكتب مئة رسالة في اليوم."},
  {"ar", "هطلت الأمطار على الوادي بعد انتظار طويل، فامتلأت الآبار وخرج الأطفال يركضون حفاة في الطين. قال الشيخ إن هذه السنة ستكون سنة خير، وطلب من الجميع أن ينظفوا القنوات قبل الفجر."},
  {"ar", "أعلنت الجامعة عن برنامج جديد لدراسة تاريخ العلوم، يبدأ في شهر سبتمبر ويستمر عامين. ويشترط للقبول أن يجيد الطالب لغتين على الأقل، وأن يقدم بحثا قصيرا عن مخطوطة من اختياره."},
  {"hi", "गाँव के पुराने कुएँ के पास एक पीपल का पेड़ है, जिसके नीचे हर शाम लोग बैठते हैं। कोई फसल की बात करता है, कोई बारिश की, और बच्चे चुपचाप सुनते हैं कि इस बार मेला कब लगेगा।"},
  {"hi", "रेलगाड़ी दो घंटे देर से आई, पर किसी ने शिकायत नहीं की। स्टेशन के चायवाले ने अदरक वाली चाय बनाई और एक बूढ़े यात्री ने अपनी जवानी के सफ़र की लंबी कहानी सुनाई।"},
  {"zh", "老街尽头有一家修伞的小店,门口挂着一把褪色的油纸伞。师傅说,伞骨断了可以换,伞面破了可以补,只有忘在别人家里的伞,他没有办法。下雨天生意最好,也最忙。"},
  {"zh", "今年春天来得早,山坡上的茶树三月初就发了芽。采茶人天不亮就上山,赶在露水干掉之前把嫩叶摘完,中午之前送到作坊里炒制,晚上整个村子都是清香。"},
  {"zh", "研究人员在河口安装了二十个传感器,每隔十分钟记录一次水温和盐度。数据显示,涨潮时海水可以沿河道上溯三十公里,比十年前的估计远了将近一倍。"},
  {"zh", "图书馆的夜间阅览室只有六张桌子,却总是坐满了人。有人准备考试,有人写小说,还有一位退休的工程师,每天晚上来抄写同一本字典,已经抄到了第四册。"},
  {"ja", "港の近くに、朝四時から開いている小さな食堂がある。漁から戻った人たちは黙って味噌汁を飲み、壁の時計が六時を打つと、また静かに帰っていく。店主はその時間が一番好きだと言う。"},
  {"ja", "祖母の裁縫箱には、使いかけの糸が百本以上入っていた。どの糸も小さな紙に巻かれ、何を縫ったかが鉛筆で書いてある。一番古いものには、私の父の名前があった。"},
  {"ja", "新しい路面電車は、騒音を減らすために線路の下へ厚いゴムを敷いた。実験では音が半分ほどになり、沿線の住民からは、電車が来たことに気づかないという声も出ている。"},
  {"ko", "산 아래 작은 마을에는 겨울마다 눈을 치우는 순서가 정해져 있다. 가장 나이 많은 사람이 먼저 문을 열고 나오면, 나머지 사람들도 빗자루를 들고 따라 나와 골목 끝까지 길을 낸다."},
  {"ko", "도서관 이층 창가에는 늘 같은 학생이 앉아 있다. 그는 식물 그림을 그리면서 이름과 꽃이 피는 달을 적는데, 올해는 벌써 이백 가지를 넘겼다고 사서가 자랑스럽게 말했다."},
};

constexpr Passage kCode[] = {
  {"python", R"~(def running_median(values):
    """Yield the median of all values seen so far."""
    low, high = [], []            # a max-heap (negated) and a min-heap
    for value in values:
        heapq.heappush(low, -heapq.heappushpop(high, value))
        if len(low) > len(high):
            heapq.heappush(high, -heapq.heappop(low))
        if len(high) > len(low):
            yield float(high[0])
        else:
            yield (high[0] - low[0]) / 2
)~"},
  {"c++", R"~(// Keeps the last n samples; the oldest falls out first.
template <class T>
class RingBuffer {
 public:
  explicit RingBuffer(size_t n) : items_(n) {}
  void Push(T item) {
    items_[next_] = std::move(item);
    next_ = (next_ + 1) % items_.size();
    if (size_ < items_.size()) ++size_;
  }
  const T& Oldest() const { return items_[(next_ + items_.size() - size_) % items_.size()]; }
 private:
  std::vector<T> items_;
  size_t next_ = 0, size_ = 0;
};
)~"},
  {"sql", R"~(SELECT s.name, COUNT(*) AS loans, MAX(l.due_date) AS last_due
FROM shelves AS s
JOIN books AS b ON b.shelf_id = s.id
LEFT JOIN loans AS l ON l.book_id = b.id AND l.returned_at IS NULL
WHERE s.floor BETWEEN 1 AND 3
GROUP BY s.name
HAVING COUNT(*) > 12
ORDER BY loans DESC, s.name;
)~"},
  {"json", R"~({
  "station": "harbour-east", "interval_s": 600,
  "sensors": [
    {"id": 17, "kind": "salinity", "unit": "g/kg", "last": 31.48, "ok": true},
    {"id": 18, "kind": "temperature", "unit": "degC", "last": 11.02, "ok": true},
    {"id": 23, "kind": "turbidity", "unit": "NTU", "last": null, "ok": false}
  ],
  "note": "sensor 23 awaits a new cable; see ticket #4471"
}
)~"},
  {"html", R"~(<article class="recipe" lang="en">
  <h2>Plum cake</h2>
  <ul>
    <li>250&nbsp;g flour, 120&nbsp;g butter, 90&nbsp;g sugar</li>
    <li>2 eggs, 1 pinch of salt, <em>about</em> 600&nbsp;g plums</li>
  </ul>
  <p>Bake at <strong>180&deg;C</strong> for 45 minutes. <a href="#notes">Notes</a></p>
</article>
)~"},
  {"shell", R"~(#!/bin/sh
# Copies what changed since the last run, and keeps seven days of it.
set -eu
target="/backup/$(date +%u)"
mkdir -p "$target"
find "$HOME/notes" -type f -newer "$HOME/.last-backup" | while read -r file; do
  cp -p "$file" "$target/" || echo "skipped: $file" >&2
done
touch "$HOME/.last-backup"
)~"},
  {"rust", R"~(/// Splits a line into fields; a field in double quotes may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut out, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    out.push(field);
    out
}
)~"},
  {"latex", R"~(\begin{proof}
Let $n \ge 2$ and write $S_n = \sum_{k=1}^{n} \frac{1}{k}$. If $2^m \le n < 2^{m+1}$, then $2^m$ divides the
denominator of exactly one term, so $S_n = \frac{a}{2^m b}$ with $a$ and $b$ odd; in particular $S_n \notin \mathbb{Z}$.
\end{proof}
)~"},
};

constexpr RetrievalCase kRetrieval[] = {
  {"English", "How long does the ferry to Sandholm take in winter?",
   {"The ferry to Sandholm runs all year. In summer the crossing takes 40 minutes; from November to March, when the outer channel is closed, it goes round the reef and takes 65 minutes.",
    "Sandholm has two hotels and a camping site. The camping site is closed from October to April; both hotels stay open in winter and rent out bicycles.",
    "Tickets are sold at the quay from half an hour before departure. Dogs travel free of charge, but must be kept on a lead on the upper deck."},
   "In winter the crossing takes 65 minutes, because the ferry must go round the reef.", "from November to March, when the outer channel is closed, it goes round the reef and takes 65 minutes"},
  {"English", "Which alloy does the report recommend for the valve stems?",
   {"After 2,000 hours in brackish water the bronze stems had lost 0.8 mm of diameter, the stainless steel ones 0.1 mm. The report therefore recommends stainless steel 1.4462 for all valve stems below the waterline.",
    "Valve housings were inspected for cracks with dye penetrant. None of the 36 housings showed a defect longer than 2 mm, and no repair is required before the next inspection.",
    "The laboratory was certified in 2019. Its climate chambers reach temperatures from -40 to +120 degrees and hold them to within half a degree."},
   "It recommends stainless steel 1.4462 for the stems below the waterline.", "The report therefore recommends stainless steel 1.4462 for all valve stems below the waterline"},
  {"French", "Qui a construit le moulin de la Vaudière ?",
   {"Le moulin de la Vaudière fut construit en 1732 par le maître charpentier Étienne Brossard, qui réutilisa les meules d'un moulin plus ancien emporté par une crue.",
    "La Vaudière prend sa source à 640 mètres d'altitude et rejoint la plaine après vingt-trois kilomètres. Son débit varie fortement selon les saisons.",
    "Le sentier des moulins relie six anciens moulins. La balade complète demande environ quatre heures et convient aux enfants à partir de huit ans."},
   "Le moulin a été construit en 1732 par Étienne Brossard.", "fut construit en 1732 par le maître charpentier Étienne Brossard"},
  {"German", "Wann darf der Rasen im Stadtpark gemäht werden?",
   {"Nach der Parkordnung wird der Rasen im Stadtpark nur zwischen Mitte Juni und Ende September gemäht, und zwar werktags zwischen acht und zwölf Uhr, damit brütende Vögel nicht gestört werden.",
    "Der Stadtpark wurde 1887 angelegt und umfasst heute 42 Hektar. Der alte Baumbestand steht seit 1954 unter Schutz.",
    "Das Café am Teich öffnet im Sommer um neun, im Winter um elf Uhr. Hunde sind auf der Terrasse willkommen."},
   "Gemäht wird nur von Mitte Juni bis Ende September, werktags von acht bis zwölf Uhr.", "nur zwischen Mitte Juni und Ende September gemäht"},
  {"Spanish", "¿Cuánto cuesta la entrada al museo del corcho?",
   {"La entrada general al museo del corcho cuesta 6 euros; los estudiantes y los mayores de 65 años pagan 3,50 euros, y el primer domingo de cada mes el acceso es gratuito.",
    "El corcho se extrae cada nueve años sin talar el árbol. Un alcornoque sano puede dar hasta dieciséis cosechas a lo largo de su vida.",
    "El museo ocupa una antigua fábrica de tapones que cerró en 1971. La maquinaria original todavía funciona y se pone en marcha los sábados."},
   "La entrada general cuesta 6 euros, y la reducida 3,50.", "La entrada general al museo del corcho cuesta 6 euros"},
  {"Italian", "Perché la galleria è stata chiusa?",
   {"La galleria è stata chiusa il 14 marzo perché i sensori hanno rilevato infiltrazioni d'acqua nella volta, a circa trecento metri dall'ingresso nord.",
    "Il traffico viene deviato sulla strada del passo, che però resta chiusa ai mezzi pesanti durante la notte.",
    "La galleria fu inaugurata nel 1968 ed è lunga 2.140 metri. Ogni giorno la percorrono in media novemila veicoli."},
   "È stata chiusa per infiltrazioni d'acqua nella volta.", "i sensori hanno rilevato infiltrazioni d'acqua nella volta"},
  {"Chinese", "新车站什么时候开放?",
   {"市政府宣布,新车站的主体工程已于九月完工,经过三个月的设备调试之后,将在明年一月十五日正式开放,首日运行六十二趟列车。",
    "老车站建于一九三六年,站房为砖木结构,今后将改为铁路博物馆,展出三台蒸汽机车。",
    "新车站与地铁四号线相连,换乘通道长约二百米,设有自动步道和无障碍电梯。"},
   "新车站将于明年一月十五日正式开放。", "将在明年一月十五日正式开放"},
  {"English", "What should I do if the pump alarm does not stop?",
   {"If the alarm sounds for more than two minutes, close the red valve, switch the pump off at the main panel, and wait until the pressure gauge reads below 0.5 bar before you open the housing.",
    "The pump must be serviced every 4,000 hours. Use only the seals listed in appendix C; others swell in contact with the coolant.",
    "Spare parts can be ordered with the number on the type plate. Delivery takes between three and ten working days."},
   "Close the red valve, switch the pump off at the main panel, and wait until the pressure is below 0.5 bar.", "close the red valve, switch the pump off at the main panel"},
};

constexpr std::string_view kQuestions[] = {
  "Could you tell me where the nearest pharmacy is?", "Why did you paint the door green?", "How many chairs will we need tomorrow?",
  "Is it true that the river freezes every winter?", "What did the doctor say about your shoulder?", "Who left this umbrella in the hall?",
  "Do you remember the name of that small restaurant by the canal?", "When does the last bus leave?", "Can the meeting be moved to Thursday?",
  "Which of these two maps is more recent?", "Have you tried turning the key the other way?", "What would you cook for twelve people?"};

constexpr std::string_view kReplies[] = {
  "I wrote it down somewhere, probably on the back of the calendar.", "Ask Miriam; she was there and has a better memory than I have.",
  "About fifteen, if nobody brings a friend, and somebody always does.", "Not this year, as far as I know, but I would not bet on it.",
  "Only for a week, and then everything was back to normal.", "It seemed a good idea at the time. Now I am less sure.",
  "Just round the corner, next to the shop that sells nothing but buttons.", "At twenty past eleven, or a little later when it snows.",
  "Yes, although the second drawer sticks, so pull it gently.", "He laughed and said that I should stop carrying pianos.",
  "Let me check; no, the earlier one has already been taken.", "Soup first. One can never go wrong with soup."};
// clang-format on

}  // namespace

std::span<const Passage> ProsePassages() { return kProse; }
std::span<const Passage> CodePassages() { return kCode; }
std::span<const RetrievalCase> RetrievalCases() { return kRetrieval; }
std::span<const std::string_view> DialogueQuestions() { return kQuestions; }
std::span<const std::string_view> DialogueReplies() { return kReplies; }

}  // namespace merope
