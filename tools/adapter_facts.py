"""Made-up facts for the adapter's training corpus: each told in one sentence and asked for in its own words and in others.

Whoever and whatever a fact speaks of has two names: the one in the text and one that shares no word with it, so that a question in other
words can only be answered by what is meant. None of the words are those of share/needles-zh.tsv, with which finding is measured.
"""

# Who: (in the text, in other words)
PEOPLE = [
    ("接生婆彭二姐", "帮人家迎接婴儿出世的妇人"), ("石匠鲁老四", "凿岩为业的汉子"), ("货郎阿顺", "挑担走村卖杂货的小贩"), ("塾师邹秉文", "教蒙童念书的先生"),
    ("郎中沈半夏", "替人诊脉开方的人"), ("驼夫哈桑", "牵着沙漠之舟赶路的脚夫"), ("绣娘叶素心", "飞针走线的女子"), ("更夫老蔡", "半夜敲梆子的人"),
    ("捕快雷大勇", "衙门里抓贼的差人"), ("茶博士祝五", "提壶给客人添水的伙计"), ("厨子包三胖", "掌勺烧菜的师傅"), ("磨镜人杜青", "替人把铜照子擦亮的手艺人"),
    ("船老大钱满仓", "掌舵行江的头领"), ("算命先生柯半仙", "给人推八字的术士"), ("琴师俞晚舟", "拨弄七弦的乐人"), ("花匠田福来", "侍弄草木的园丁"),
    ("账房孟先生", "记收支的管事"), ("马夫秦小六", "喂养坐骑的仆役"), ("画工吴道生", "描摹人物山水的匠人"), ("卖炭翁老耿", "烧木成黑块换钱的老者"),
    ("镖师丁万里", "护送财物上路的武人"), ("寡妇梁三娘", "丈夫早逝的妇女"), ("秀才尹子良", "考中头一级功名的书生"), ("小尼姑妙音", "剃度不久的年轻出家女"),
    ("电工曹建国", "修线路的工人"), ("护士苗丽华", "病房里打针发药的姑娘"), ("司机龙海涛", "开车送货的人"), ("会计翁秀珍", "管公司账目的女职员"),
    ("教练余向东", "带队员训练的人"), ("记者童晓峰", "写新闻稿的人"), ("保安胡德胜", "看守大门的人"), ("科长戚国栋", "管一个科室的干部"),
]
# Things to hide, lose, buy: (in the text, in other words, measure word)
THINGS = [
    ("翡翠扳指", "绿玉做的套指头的东西", "枚"), ("族谱", "记着祖宗名姓的册子", "本"), ("火铳", "打铅子的兵器", "支"), ("账册", "记钱数的簿子", "本"), ("银锁片", "挂在孩童颈上的小饰物", "块"),
    ("地契", "证明田产归谁的文书", "张"), ("鼻烟壶", "装提神粉末的小瓶", "只"), ("铜墨盒", "盛黑汁写字用的匣子", "个"), ("砚台", "研磨用的文房石器", "方"), ("罗盘", "辨方向的仪器", "只"),
    ("绣鞋", "女子脚上穿的花面物件", "双"), ("药方", "大夫开的单子", "张"), ("玉簪", "插在发髻里的首饰", "支"), ("长命灯", "不许熄灭的照明物", "盏"), ("竹笛", "横着吹的乐器", "支"),
    ("旧胶卷", "从前拍照用的底片", "卷"), ("工作证", "表明职务的小本", "本"), ("移动硬盘", "存电子资料的装置", "块"), ("奖杯", "比赛得来的荣誉器物", "座"), ("备用轮胎", "车上替换的橡胶圈", "条"),
]
# Where: (in the text, in other words)
PLACES = [
    ("土地庙的香炉底下", "敬神小屋"), ("西厢房的夹墙里", "侧边屋子"), ("后院枯井的石缝里", "不出水的深洞"), ("戏台的横梁上", "唱曲的高台"), ("当铺的第九格抽屉里", "押东西借钱的铺面"),
    ("米仓的陈谷堆里", "存粮的屋子"), ("马厩的草料槽底", "养牲口的棚子"), ("佛塔的第四层窗洞里", "僧人藏舍利的高楼"), ("桥头石狮子的嘴里", "河上通道边的石兽"), ("祖坟旁的柏树洞里", "先人墓地"),
    ("灶台的砖缝里", "做饭的地方"), ("河埠头的乌篷船舱里", "水边停着的小舟"), ("档案室的铁皮柜顶上", "存放卷宗的房间"), ("车间的工具箱夹层里", "做工的厂房"), ("实验楼的通风管道里", "做试验的大楼"),
    ("阅览室的第三排书架后", "看书刊的屋子"),
]
PETS = [("黄狗", "看家的牲畜"), ("鹦哥", "会学舌的鸟"), ("骡子", "驮货的牲口"), ("狸猫", "捉老鼠的家畜"), ("白鹅", "看门的长颈家禽"), ("山羊", "长胡子的牲畜"), ("乌龟", "背着硬壳的活物"), ("画眉", "笼里叫得好听的小鸟")]
PET_NAMES = "墨团 将军 豆豉 阿宝 踏雪 铁蛋 芝麻 团圆 来喜 石榴 桂圆 黑旋风 小满 麦芽 三更".split()
CITIES = "扬州 泉州 兰州 保定 徽州 大同 宁波 成都 襄阳 洛阳 桂林 福州 长沙 镇江 潮州 济南 烟台 西宁 贵阳 温州".split()
MATERIALS = ["桐木", "黄杨木", "鲸骨", "牛角", "桃核", "马尾毛", "紫竹", "铁梨木", "旧船钉", "蚕丝", "椰壳", "废炮弹壳", "海柳", "陨铁"]
FOODS = [("荷叶粥", "用水生叶子煮的稀饭"), ("驴肉火烧", "夹牲口肉的面饼"), ("桂花酿", "带花香的酒"), ("酸梅汤", "解暑的饮料"), ("糯米藕", "塞了米的水生根茎"), ("羊杂汤", "牲畜内脏煮的热汤"), ("豆腐脑", "嫩的豆制点心"), ("柿饼", "晒干的果子")]
FEARS = ["打雷", "蜈蚣", "走夜路", "白猫", "铜锣声", "过独木桥", "纸人", "深水", "萤火虫", "剃刀", "唢呐声", "红伞"]
EVENTS = [("开张", "头一回做买卖"), ("迁居", "搬家"), ("娶亲", "办喜事"), ("封窑", "停下烧制"), ("拜师", "入门学艺"), ("动土修屋", "盖新房"), ("启程赴任", "上路就职"), ("退休", "离开岗位养老"), ("做手术", "上台开刀"), ("交付样机", "拿出头一台成品")]
DAYS = ["腊月初八", "正月十六", "三月初三", "六月廿一", "八月十九", "冬至前一天", "立秋后第三天", "九月初十", "4月17日", "11月23日", "2014年6月3日", "周四下午", "小寒那天", "二月十二"]
SHOPS = [("聚源当铺", "押物借钱的地方"), ("同春药局", "卖汤药的铺面"), ("鸿运赌坊", "掷骰子的场所"), ("悦来客栈", "让旅人过夜的店"), ("文华书肆", "卖典籍的铺面"), ("顺和镖局", "替人护送货物的行号"), ("锦绣绸庄", "卖丝织品的店"),
         ("城南粮站", "收购谷物的单位"), ("第二变电所", "管电的场站"), ("星河研究院", "搞科研的机构"), ("育才幼儿园", "照看孩童的单位"), ("北郊污水厂", "处理脏水的工厂")]
MASTERS = ["铁臂僧空明", "瞎眼琴师贺九", "退隐的总兵罗松", "江南名医苏景和", "唱老生的马连奎", "老院士周维安", "八级钳工葛长寿", "异乡人卡洛斯", "写状子的毕师爷", "打铁的卞大锤"]
MOTTOES = ["宁缺毋滥", "日拱一卒", "童叟无欺", "先难后获", "守拙抱朴", "不欠隔夜账", "天黑不收徒", "三思再下剪"]

DIGITS, HUNDREDS = "零一二三四五六七八九", "百"


def number_words(n):
    """12 to 999 in Chinese numerals."""
    h, t, u = n // 100, n // 10 % 10, n % 10
    s = (DIGITS[h] + HUNDREDS) if h else ""
    if t:
        s += ("" if t == 1 and not h else DIGITS[t]) + "十"
    elif h and u:
        s += "零"
    return s + (DIGITS[u] if u else "")


def make_fact(r):
    """One fact: {"fact", "answer", "words": [question], "other": [questions], "key"}: key tells facts about the same apart. r draws."""
    p, pp = r.choice(PEOPLE)
    t, tp, m = r.choice(THINGS)
    place, placep = r.choice(PLACES)
    shop, shopp = r.choice(SHOPS)
    pet, petp = r.choice(PETS)
    n = r.choice([r.randint(12, 99), r.randint(101, 990)])
    num = number_words(n) if r.random() < .7 else str(n)
    day, city = r.choice(DAYS), r.choice(CITIES)
    event, eventp = r.choice(EVENTS)
    food, foodp = r.choice(FOODS)
    code = "".join(r.choice("二三四五六七八九") for _ in range(5)) if r.random() < .5 else "".join(r.choice("23456789") for _ in range(r.choice((4, 6))))
    kind = r.randrange(18)
    f = [
        lambda: (f"{p}把那{m}{t}藏在了{place}。", place, f"{p}把那{m}{t}藏在了哪里？", [f"{pp}将{tp}放到什么地方去了？", f"{tp}被{pp}收在何处？", f"要找{pp}收起来的{tp}，该去哪里？"]),
        lambda: (f"{shop}库房的暗码是{code}。", code, f"{shop}库房的暗码是什么？", [f"{shopp}，开里间的门要拨哪几个数字？", f"想进{shopp}的里间，得知道哪串数字？"]),
        lambda: (f"{p}定在{day}{event}。", day, f"{p}定在什么时候{event}？", [f"{pp}打算哪一天{eventp}？", f"{pp}{eventp}选的是什么日子？"]),
        lambda: (f"{p}一共攒下了{num}{m}{t}。", num + m, f"{p}一共攒下了多少{m}{t}？", [f"{pp}手里积了几{m}{tp}？", f"{tp}，{pp}总计存着多少？"]),
        lambda: (f"那{m}{t}一向由{p}看管。", p, f"那{m}{t}一向由谁看管？", [f"{tp}归哪个人负责照料？", f"平日里是谁守着{tp}？"]),
        lambda: (f"{shop}的那{m}{t}是托人从{city}捎来的。", city, f"{shop}的那{m}{t}是从哪里捎来的？", [f"{shopp}里的{tp}老家在哪座城？", f"{tp}原先在哪座城，后来才到了{shopp}？"]),
        lambda: (f"{p}养的{pet}名叫{PET_NAMES[n % len(PET_NAMES)]}。", PET_NAMES[n % len(PET_NAMES)], f"{p}养的{pet}叫什么名字？", [f"{pp}管自家{petp}叫什么？", f"{petp}在{pp}那里有个什么称呼？"]),
        lambda: (f"{p}一见就躲的是{FEARS[n % len(FEARS)]}。", FEARS[n % len(FEARS)], f"{p}一见就躲的是什么？", [f"什么会让{pp}吓得发抖？", f"{pp}一辈子躲着的是什么？"]),
        lambda: (f"{p}的{t}是拿{MATERIALS[n % len(MATERIALS)]}雕成的。", MATERIALS[n % len(MATERIALS)], f"{p}的{t}是拿什么雕成的？", [f"{pp}的{tp}出自哪种材质？", f"{tp}在{pp}那里是拿什么料子制的？"]),
        lambda: (f"{p}的师父是{MASTERS[n % len(MASTERS)]}。", MASTERS[n % len(MASTERS)], f"{p}的师父是谁？", [f"{pp}的本事是跟哪个人学的？", f"是什么人教会了{pp}手艺？"]),
        lambda: (f"{shop}的牌匾背面写着“{MOTTOES[n % len(MOTTOES)]}”。", MOTTOES[n % len(MOTTOES)], f"{shop}的牌匾背面写着什么？", [f"{shopp}，门上横板的反面有哪几个字？"]),
        lambda: (f"{p}赊了{shop}{num}文钱，至今未还。", num + "文钱", f"{p}赊了{shop}多少钱？", [f"{pp}欠着{shopp}几何？", f"{shopp}还有多大一笔账要向{pp}讨？"]),
        lambda: (f"{p}每天只吃一顿，吃的是{food}。", food, f"{p}每天吃的是什么？", [f"{pp}一日唯一的那餐是何物？", f"拿什么填{pp}的肚子？"]),
        lambda: (f"{shop}的账上还缺{num}两银子。", num + "两银子", f"{shop}的账上还缺多少银子？", [f"{shopp}亏空了多大数目？", f"{shopp}的亏空是几何？"]),
        lambda: (f"{p}的左肩上有一块{r.choice(['月牙', '枫叶', '铜钱', '葫芦', '箭头'])}形的胎记。", None, f"{p}的左肩上有一块什么形状的胎记？", [f"{pp}身上生来就有的印记像什么？"]),
        lambda: (f"{p}在{city}做了{num}天的工。", num + "天", f"{p}在{city}做了多少天的工？", [f"{pp}去外地干活干了多久？"]),
        lambda: (f"{p}把{t}输给了{MASTERS[n % len(MASTERS)]}。", MASTERS[n % len(MASTERS)], f"{p}把{t}输给了谁？", [f"{pp}的{tp}落到了哪个赢家手里？", f"谁从{pp}那里赢走了{tp}？"]),
        lambda: (f"{shop}每逢{day}都要歇业一日。", day, f"{shop}每逢什么时候歇业？", [f"{shopp}哪一天不做生意？", f"去{shopp}要避开什么日子？"]),
    ][kind]
    fact, answer, words, other = f()
    if answer is None:
        answer = fact[fact.index("一块") + 2:fact.index("形的")] + "形"
    return {"fact": fact, "answer": answer, "words": [words], "other": other, "key": (kind, p if p in fact else shop if shop in fact else t)}
