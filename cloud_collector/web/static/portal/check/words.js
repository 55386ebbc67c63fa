// 256 plain words, one a byte, in which fingerprints are read to each other. The same list as shared/words.py.

export const WORDS = (
  "acid acorn actor agate album alarm alley amber anchor angle ankle apple apron arch arena armor arrow atlas " +
  "attic autumn award bacon badge bagel baker balloon bamboo banjo barrel basil basket beach beacon beaver " +
  "berry bike birch bison blanket blossom boat bonfire border bottle bracket branch brass bread breeze brick " +
  "bridge brook brush bucket bugle butter button cabin cactus camel canal candle canoe canyon carbon carpet " +
  "castle cedar cello chalk cherry chess cinema circle citrus clay cliff clover coast cobalt comet compass " +
  "copper coral cotton cradle crane crater cricket crystal cube curtain daisy dawn delta denim desert diamond " +
  "dolphin domino donkey dragon drum duck eagle earth echo eclipse elbow elm ember engine fabric falcon feather " +
  "fennel ferry fiddle finch flame flint flute forest fossil fountain fox galaxy garden garlic gecko ginger " +
  "glacier globe goose grain granite grape gravel guitar hammer harbor harp hazel hedge helmet heron hinge " +
  "honey horizon hornet igloo indigo iris iron island ivory ivy jacket jade jasmine jelly jigsaw jungle kayak " +
  "kernel kettle kitten koala ladder lagoon lantern lark laser lava lemon lentil lily linen lion lobster locket " +
  "lotus lunar magnet mango maple marble meadow melon meteor mirror mitten moss motor mountain mustard nectar " +
  "needle nickel noodle nutmeg oak oasis ocean olive onion opal orbit orchid otter oyster paddle palm panda " +
  "panther paper parsley pearl pebble pepper pigeon pilot planet plum pocket poplar prism puzzle quartz quill " +
  "rabbit radish raven ribbon river robin rocket rope ruby saddle saffron salmon sand satin shadow silver " +
  "spruce sunset tiger tulip velvet violin walnut willow window winter "
).trim().split(" ");
